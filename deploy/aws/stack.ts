/** All of it: a volume, a server on it, an address, and a clock. */

import { CfnOutput, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import { Key } from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';
import { Clock } from './clock.ts';
import { Endpoint } from './endpoint.ts';
import { readParameters } from './parameters.ts';
import { Secrets } from './secrets.ts';
import { Server } from './server.ts';
import { Volume } from './volume.ts';

export class PicoClawStack extends Stack {
  constructor(scope: Construct, id: string, props: StackProps = {}) {
    super(scope, id, props);
    const parameters = readParameters(this.node);
    const secrets = new Secrets(this, 'Secrets', parameters);
    const volume = new Volume(this, 'Volume');
    // Whoever may only look at the account sees the function's environment and the schedule's input; with a key of our own they see nothing.
    const key = new Key(this, 'Key', {
      description: 'PicoClaw: the secrets in the configuration of the function and the schedule',
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const { handler } = new Server(this, 'Server', { parameters, volume, secrets, key });
    const { url } = new Endpoint(this, 'Endpoint', { handler, timeoutSeconds: parameters.timeoutSeconds });
    if (parameters.checkMinutes > 0)
      new Clock(this, 'Clock', { handler, token: secrets.schedulerToken, minutes: parameters.checkMinutes, key });
    new CfnOutput(this, 'Url', { value: url, description: 'The base URL of the API' });
    new CfnOutput(this, 'TokenSecret', {
      value: secrets.clientTokenSecret.secretArn,
      description: 'The secret with the API_TOKEN of the clients',
    });
  }
}
