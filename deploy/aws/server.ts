/**
 * The server: the image as a Lambda function, with the Lambda Web Adapter in it.
 *
 * Invariant: one instance at a time. The volume has a single owner; a second instance would wait for the first and then answer 503.
 */

import { fileURLToPath } from 'node:url';
import { Duration, RemovalPolicy, Size } from 'aws-cdk-lib';
import { SubnetType } from 'aws-cdk-lib/aws-ec2';
import { Repository } from 'aws-cdk-lib/aws-ecr';
import { Platform } from 'aws-cdk-lib/aws-ecr-assets';
import { Effect, PolicyDocument, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Architecture, DockerImageCode, DockerImageFunction, FileSystem } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { type Parameters, roomSeconds } from './parameters.ts';
import type { Secrets } from './secrets.ts';
import type { Volume } from './volume.ts';

/** Lambda mounts below /mnt alone. */
const mount = '/mnt/picoclaw';

const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url));

const networkActions = [
  'ec2:CreateNetworkInterface',
  'ec2:DescribeNetworkInterfaces',
  'ec2:DescribeSubnets',
  'ec2:DeleteNetworkInterface',
  'ec2:AssignPrivateIpAddresses',
  'ec2:UnassignPrivateIpAddresses',
];

export type ServerInput = { parameters: Parameters; volume: Volume; secrets: Secrets; key: IKey };

export class Server extends Construct {
  readonly handler: DockerImageFunction;

  constructor(scope: Construct, id: string, { parameters, volume, secrets, key }: ServerInput) {
    super(scope, id);
    const { architecture, timeoutSeconds } = parameters;
    const logGroup = new LogGroup(this, 'Log', {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = this.#role(logGroup);
    key.grantDecrypt(role);
    this.handler = new DockerImageFunction(this, 'Function', {
      description: 'PicoClaw: Claude agents behind an HTTP API',
      code: this.#code(parameters),
      architecture: architecture === 'arm64' ? Architecture.ARM_64 : Architecture.X86_64,
      memorySize: parameters.memoryMb,
      ephemeralStorageSize: Size.mebibytes(parameters.temporaryMb),
      timeout: Duration.seconds(timeoutSeconds),
      reservedConcurrentExecutions: 1,
      // Of the scheduler's calls: one that finds the function busy is not worth keeping, the next comes soon.
      retryAttempts: 0,
      maxEventAge: Duration.minutes(1),
      vpc: volume.vpc,
      vpcSubnets: { subnetType: SubnetType.PRIVATE_WITH_EGRESS },
      securityGroups: [volume.securityGroup],
      filesystem: FileSystem.fromEfsAccessPoint(volume.accessPoint, mount),
      role,
      logGroup,
      environmentEncryption: key,
      environment: {
        ANTHROPIC_API_KEY: secrets.apiKey,
        API_TOKEN: `${secrets.clientToken},${secrets.schedulerToken}`,
        STORE_DIR: `${mount}/store`,
        MEMORY_DIR: `${mount}/memory`,
        LOCAL_DB_PATH: '/tmp/messages.db',
        MAX_EXECUTION_MS: String((timeoutSeconds - roomSeconds) * 1000),
        // Lambda kills 2 s after it asks the server to stop, which it does while nothing runs.
        SHUTDOWN_GRACE_MS: '1000',
        // The user that Lambda starts the image as has no home that can be written.
        HOME: '/tmp',
      },
    });
  }

  /**
   * Not the managed policies: they let the function write every log of the account. The server calls nothing of AWS, and the agent should find
   * nothing to call.
   */
  #role(logGroup: LogGroup): Role {
    return new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      inlinePolicies: {
        Log: new PolicyDocument({
          statements: [
            new PolicyStatement({
              actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
              resources: [logGroup.logGroupArn],
            }),
          ],
        }),
        // Lambda attaches the function to the VPC with its role; what runs in the function may not.
        Network: new PolicyDocument({
          statements: [
            new PolicyStatement({ actions: networkActions, resources: ['*'] }),
            new PolicyStatement({
              effect: Effect.DENY,
              actions: networkActions,
              resources: ['*'],
              conditions: { ArnLike: { 'lambda:SourceFunctionArn': 'arn:*:lambda:*:*:function:*' } },
            }),
          ],
        }),
      },
    });
  }

  #code({ image, architecture }: Parameters): DockerImageCode {
    if (image !== null)
      return DockerImageCode.fromEcr(Repository.fromRepositoryName(this, 'Repository', image.repository), {
        tagOrDigest: image.version,
      });
    return DockerImageCode.fromImageAsset(repositoryRoot, {
      target: 'default',
      buildArgs: { ENABLE_LAMBDA_ADAPTER: 'true' },
      platform: architecture === 'arm64' ? Platform.LINUX_ARM64 : Platform.LINUX_AMD64,
    });
  }
}
