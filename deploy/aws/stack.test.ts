/** The template that comes out: what it makes, what may reach what, and that no secret is in it. */

import { execSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { temporaryFolder } from '../../test/support/temporary-folder.ts';
import { PicoClawStack } from './stack.ts';
import { flat } from './template.ts';

function synthesise(context: Record<string, unknown> = {}): Template {
  const app = new App({ context: { image: 'picoclaw:2.0.0', ...context }, analyticsReporting: false });
  return Template.fromStack(new PicoClawStack(app, 'Test'));
}

const template = synthesise();

const digest = `sha256:${'0f'.repeat(32)}`;

/** With everything that can be chosen chosen otherwise. A synthesis takes half a second. */
const other = synthesise({
  image: `team/picoclaw@${digest}`,
  architecture: 'x86_64',
  timeoutSeconds: 300,
  checkMinutes: 5,
  apiKeyVersion: 'v-1',
});

const only = (type: string) => {
  const [resource, ...others] = Object.values(template.findResources(type));
  expect(others).toEqual([]);
  return z.looseObject({ Properties: z.record(z.string(), z.unknown()) }).parse(resource);
};

describe('the volume', () => {
  it('is encrypted, backed up, and kept when the stack is deleted', () => {
    template.hasResource('AWS::EFS::FileSystem', {
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: { Encrypted: true, BackupPolicy: { Status: 'ENABLED' } },
    });
  });

  it('belongs to the user of the image, and to nobody else', () => {
    template.hasResourceProperties('AWS::EFS::AccessPoint', {
      PosixUser: { Uid: '1000', Gid: '1000' },
      RootDirectory: { Path: '/picoclaw', CreationInfo: { OwnerUid: '1000', OwnerGid: '1000', Permissions: '0700' } },
    });
  });

  it('is mounted over TLS, by a role, or not at all', () => {
    template.hasResourceProperties('AWS::EFS::FileSystem', {
      FileSystemPolicy: {
        Statement: [
          { Effect: 'Deny', Action: 'elasticfilesystem:*', Condition: { Bool: { 'aws:SecureTransport': 'false' } } },
        ],
      },
    });
  });

  it('is reached by the function, on the port of NFS, and by nothing else', () => {
    const { Properties } = only('AWS::EC2::SecurityGroupIngress');
    expect(Properties).toMatchObject({ FromPort: 2049, ToPort: 2049, IpProtocol: 'tcp' });
    expect(flat(Properties.SourceSecurityGroupId)).toContain('ServerGroup');
    for (const group of Object.values(template.findResources('AWS::EC2::SecurityGroup')))
      expect(group.Properties).not.toHaveProperty('SecurityGroupIngress');
  });

  it('is mounted below /mnt, in the private subnets, which reach the internet through one NAT gateway', () => {
    template.hasResourceProperties('AWS::Lambda::Function', {
      FileSystemConfigs: [{ LocalMountPath: '/mnt/picoclaw' }],
    });
    template.resourceCountIs('AWS::EFS::MountTarget', 2);
    template.resourceCountIs('AWS::EC2::NatGateway', 1);
    expect(flat(only('AWS::Lambda::Function').Properties.VpcConfig)).toContain('private');
    expect(flat(only('AWS::Lambda::Function').Properties.VpcConfig)).not.toContain('public');
  });
});

describe('the function', () => {
  const images = z.object({ dockerImages: z.record(z.string(), z.object({ source: z.unknown() })) });

  it('is one instance at most, and is not asked again when a call fails', () => {
    template.hasResourceProperties('AWS::Lambda::Function', { ReservedConcurrentExecutions: 1 });
    template.hasResourceProperties('AWS::Lambda::EventInvokeConfig', {
      MaximumRetryAttempts: 0,
      MaximumEventAgeInSeconds: 60,
    });
  });

  it.each([
    [900, template],
    [300, other],
  ])('of %i s ends a run a minute before it is ended itself', (timeoutSeconds, made) => {
    made.hasResourceProperties('AWS::Lambda::Function', {
      Timeout: timeoutSeconds,
      Environment: { Variables: Match.objectLike({ MAX_EXECUTION_MS: String((timeoutSeconds - 60) * 1000) }) },
    });
  });

  it('has memory and disk for the agent and the runtime database', () => {
    template.hasResourceProperties('AWS::Lambda::Function', { MemorySize: 2048, EphemeralStorage: { Size: 2048 } });
  });

  it('runs on either processor', () => {
    template.hasResourceProperties('AWS::Lambda::Function', { Architectures: ['arm64'] });
    other.hasResourceProperties('AWS::Lambda::Function', { Architectures: ['x86_64'] });
  });

  it('takes an image of ECR by its tag or its digest', () => {
    const image = (made: Template) =>
      Object.values(made.findResources('AWS::Lambda::Function')).map(({ Properties }) => flat(Properties.Code));
    expect(image(template)).toEqual([expect.stringMatching(/\.dkr\.ecr\..*\/picoclaw:2\.0\.0$/)]);
    expect(image(other)).toEqual([expect.stringMatching(new RegExp(`\\.dkr\\.ecr\\..*/team/picoclaw@${digest}$`))]);
  });

  it('is built from the Dockerfile, with the adapter, where no image is named', () => {
    const app = new App({ context: { architecture: 'x86_64' }, analyticsReporting: false });
    new PicoClawStack(app, 'Test');
    const { dockerImages } = images.parse(
      JSON.parse(readFileSync(join(app.synth().directory, 'Test.assets.json'), 'utf8')),
    );
    expect(Object.values(dockerImages).map(({ source }) => source)).toEqual([
      {
        directory: expect.stringMatching(/^asset\./),
        dockerBuildArgs: { ENABLE_LAMBDA_ADAPTER: 'true' },
        dockerBuildTarget: 'default',
        platform: 'linux/amd64',
      },
    ]);
  });

  it('keeps its log for a month', () => {
    template.hasResourceProperties('AWS::Logs::LogGroup', { RetentionInDays: 30 });
    expect(flat(only('AWS::Lambda::Function').Properties.LoggingConfig)).toContain('ServerLog');
  });
});

describe('what may do what', () => {
  const statements = (types: string[]) =>
    types.flatMap((type) =>
      Object.entries(template.findResources(type)).flatMap(([id, { Properties }]) =>
        [...(Properties.Policies ?? []), ...(Properties.PolicyDocument ? [Properties] : [])].flatMap(
          ({ PolicyDocument }) =>
            PolicyDocument.Statement.map(
              (statement: { Action: string | string[]; Resource: unknown; Effect: string }) => ({
                who: id.startsWith('Scheduler') ? 'schedule' : 'function',
                effect: statement.Effect,
                actions: [statement.Action].flat(),
                resource: flat(statement.Resource),
              }),
            ),
        ),
      ),
    );

  it('is all of this, and no policy of AWS', () => {
    const network = [
      'ec2:CreateNetworkInterface',
      'ec2:DescribeNetworkInterfaces',
      'ec2:DescribeSubnets',
      'ec2:DeleteNetworkInterface',
      'ec2:AssignPrivateIpAddresses',
      'ec2:UnassignPrivateIpAddresses',
    ];
    expect(statements(['AWS::IAM::Role', 'AWS::IAM::Policy'])).toEqual(
      expect.arrayContaining([
        {
          who: 'function',
          effect: 'Allow',
          actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
          resource: expect.stringContaining('ServerLog'),
        },
        { who: 'function', effect: 'Allow', actions: network, resource: '*' },
        { who: 'function', effect: 'Deny', actions: network, resource: '*' },
        { who: 'function', effect: 'Allow', actions: ['kms:Decrypt'], resource: expect.stringContaining('Key') },
        { who: 'function', effect: 'Allow', actions: ['elasticfilesystem:ClientMount'], resource: '*' },
        {
          who: 'function',
          effect: 'Allow',
          actions: ['elasticfilesystem:ClientWrite'],
          resource: expect.stringContaining('FileSystem'),
        },
        {
          who: 'schedule',
          effect: 'Allow',
          actions: ['lambda:InvokeFunction'],
          resource: expect.stringContaining('ServerFunction'),
        },
        { who: 'schedule', effect: 'Allow', actions: ['kms:Decrypt'], resource: expect.stringContaining('Key') },
      ]),
    );
    expect(statements(['AWS::IAM::Role', 'AWS::IAM::Policy'])).toHaveLength(8);
    for (const role of Object.values(template.findResources('AWS::IAM::Role')))
      expect(role.Properties).not.toHaveProperty('ManagedPolicyArns');
  });

  it('lets API Gateway and nobody else call the function from outside', () => {
    for (const permission of Object.values(template.findResources('AWS::Lambda::Permission')))
      expect(permission.Properties).toMatchObject({
        Principal: 'apigateway.amazonaws.com',
        SourceArn: expect.anything(),
      });
    template.resourceCountIs('AWS::Lambda::Url', 0);
  });
});

describe('secrets', () => {
  it('are references in the template, in the two places that need them, which are encrypted with the key of the stack', () => {
    const environment = flat(only('AWS::Lambda::Function').Properties.Environment);
    expect(environment).toContain('{{resolve:secretsmanager:picoclaw/anthropic-api-key:SecretString:::}}');
    expect(environment).toMatch(
      /\{\{resolve:secretsmanager:[^}]*ClientToken[^}]*\}\},\{\{resolve:secretsmanager:[^}]*SchedulerToken[^}]*\}\}/,
    );
    for (const type of ['AWS::Lambda::Function', 'AWS::Scheduler::Schedule'])
      expect(flat(only(type).Properties.KmsKeyArn)).toContain('Key');
    for (const [id, resource] of Object.entries(template.toJSON().Resources))
      if (!/^(ServerFunction|ClockCheck)/.test(id))
        expect(JSON.stringify(resource)).not.toContain('{{resolve:secretsmanager');
    expect(JSON.stringify(template.toJSON().Outputs)).not.toContain('resolve:');
  });

  it('are generated where they are ours, of letters and digits', () => {
    template.resourceCountIs('AWS::SecretsManager::Secret', 2);
    template.allResourcesProperties('AWS::SecretsManager::Secret', {
      GenerateSecretString: { PasswordLength: 48, ExcludePunctuation: true },
    });
    expect(JSON.stringify(template.toJSON())).not.toContain('"SecretString":');
  });

  it('can be pinned to a version, so that a new key is a new deployment', () => {
    const found = Object.values(other.findResources('AWS::Lambda::Function'));
    expect(JSON.stringify(found)).toContain('picoclaw/anthropic-api-key:SecretString:::v-1}}');
  });
});

describe('the endpoint', () => {
  it('streams every method of every path, for as long as the function may take', () => {
    template.resourceCountIs('AWS::ApiGateway::Method', 2);
    template.allResourcesProperties('AWS::ApiGateway::Method', {
      HttpMethod: 'ANY',
      AuthorizationType: 'NONE',
      Integration: { Type: 'AWS_PROXY', ResponseTransferMode: 'STREAM', TimeoutInMillis: 900_000 },
    });
    for (const { Properties } of Object.values(template.findResources('AWS::ApiGateway::Method')))
      expect(flat(Properties.Integration.Uri)).toMatch(/\/2021-11-15\/functions\/.*\/response-streaming-invocations$/);
    template.hasResourceProperties('AWS::ApiGateway::Resource', { PathPart: '{proxy+}' });
  });

  it('is regional: an edge-optimised one ends a stream after 30 s of silence', () => {
    template.hasResourceProperties('AWS::ApiGateway::RestApi', { EndpointConfiguration: { Types: ['REGIONAL'] } });
  });
});

describe('the schedule', () => {
  const target = z.looseObject({ Input: z.unknown(), RetryPolicy: z.unknown() });

  it('calls POST /task/check every minute, as a request of an HTTP API, with a token of its own', () => {
    const { Properties } = only('AWS::Scheduler::Schedule');
    expect(Properties).toMatchObject({ ScheduleExpression: 'rate(1 minute)', State: 'ENABLED' });
    const { Input, RetryPolicy } = target.parse(Properties.Target);
    expect(RetryPolicy).toEqual({ MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60 });
    expect(JSON.parse(flat(Input))).toMatchObject({
      version: '2.0',
      rawPath: '/task/check',
      rawQueryString: '',
      headers: {
        authorization: expect.stringMatching(/^Bearer \{\{resolve:secretsmanager:[^}]*SchedulerToken[^}]*\}\}$/),
      },
      requestContext: { http: { method: 'POST', path: '/task/check' }, stage: '$default' },
      isBase64Encoded: false,
    });
  });

  it('comes less often, or not at all, where that is asked for', () => {
    other.hasResourceProperties('AWS::Scheduler::Schedule', { ScheduleExpression: 'rate(5 minutes)' });
    synthesise({ checkMinutes: 0 }).resourceCountIs('AWS::Scheduler::Schedule', 0);
  });
});

describe('app.ts', () => {
  it('is what cdk.json runs, and makes the stack without looking anything up', () => {
    const { app } = z
      .object({ app: z.string() })
      .parse(JSON.parse(readFileSync(join(import.meta.dirname, 'cdk.json'), 'utf8')));
    const outdir = temporaryFolder();
    execSync(app, {
      cwd: import.meta.dirname,
      env: {
        PATH: process.env.PATH,
        CDK_OUTDIR: outdir,
        CDK_CONTEXT_JSON: JSON.stringify({ image: 'picoclaw:2.0.0' }),
      },
    });
    const made: unknown = JSON.parse(readFileSync(join(outdir, 'PicoClaw.template.json'), 'utf8'));
    expect(made).toMatchObject({
      Description: expect.stringContaining('PicoClaw'),
      Outputs: { Url: {}, TokenSecret: {} },
    });
    const manifest = z.looseObject({ missing: z.unknown().optional() });
    expect(manifest.parse(JSON.parse(readFileSync(join(outdir, 'manifest.json'), 'utf8'))).missing).toBeUndefined();
  });
});

describe('what can be chosen', () => {
  it.each([
    ['timeoutSeconds', 901, 'timeoutSeconds: must be an integer from 120 to 900; is "901"'],
    ['memoryMb', '2 GB', 'memoryMb: must be an integer from 1024 to 10240; is "2 GB"'],
    ['architecture', 'mips', 'architecture: must be one of arm64, x86_64; is "mips"'],
    ['image', 'ghcr.io/someone/picoclaw:2.0.0@x', 'image: must be <repository>:<tag> or <repository>@sha256:<digest>'],
    ['checkMinutes', -1, 'checkMinutes: must be an integer from 0 to 1440; is "-1"'],
  ])('is refused by name where it is wrong: %s %s', (name, value, message) => {
    expect(() => synthesise({ [name]: value })).toThrow(message);
  });
});
