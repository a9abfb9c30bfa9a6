/**
 * A host process to be killed: runs one prompt on an agent until it is. Arguments: the model's URL, the memory folder.
 */

import { startAgentHost } from './agent-host.ts';
import { startModel } from './model.ts';

const [, , url = '', memoryDir = ''] = process.argv;
const unused = await startModel();
const host = await startAgentHost({ model: unused, anthropicBaseUrl: url, memoryDir });
await host.run('hello');
