/** What `cdk` runs. For whichever account and region it is called with; nothing is looked up. */

import { App } from 'aws-cdk-lib';
import { PicoClawStack } from './stack.ts';

const app = new App({ analyticsReporting: false });
new PicoClawStack(app, 'PicoClaw', { description: 'PicoClaw on Lambda, with its volume on EFS' });
app.synth();
