/**
 * The three secrets. They get into the function's configuration when the stack is deployed, by references that CloudFormation resolves: none
 * is in the template, and the function's role can read none of them from Secrets Manager.
 */

import { SecretValue } from 'aws-cdk-lib';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import type { Parameters } from './parameters.ts';

export class Secrets extends Construct {
  /** References for templates, not values. */
  readonly apiKey: string;
  readonly clientToken: string;
  readonly schedulerToken: string;
  readonly clientTokenSecret: Secret;

  constructor(scope: Construct, id: string, { apiKeySecret, apiKeyVersion }: Parameters) {
    super(scope, id);
    this.apiKey = SecretValue.secretsManager(
      apiKeySecret,
      apiKeyVersion === null ? {} : { versionId: apiKeyVersion },
    ).unsafeUnwrap();
    // Two, so that clients get another one without the scheduler, and the other way round.
    this.clientTokenSecret = this.#token('ClientToken', 'PicoClaw: the token of the clients');
    const schedulerToken = this.#token('SchedulerToken', 'PicoClaw: the token of the scheduler');
    this.clientToken = this.clientTokenSecret.secretValue.unsafeUnwrap();
    this.schedulerToken = schedulerToken.secretValue.unsafeUnwrap();
  }

  /** Letters and digits: it goes into JSON, and into a list with commas. */
  #token(id: string, description: string): Secret {
    return new Secret(this, id, {
      description,
      generateSecretString: { passwordLength: 48, excludePunctuation: true },
    });
  }
}
