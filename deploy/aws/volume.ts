/**
 * The network and the volume that outlives every function: EFS, mounted through an access point.
 *
 * - The file system is kept when the stack is deleted: it is the only copy of every conversation.
 * - It is mounted over TLS by a known role, or not at all.
 */

import { Annotations, RemovalPolicy } from 'aws-cdk-lib';
import { IpAddresses, SecurityGroup, SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import { type AccessPoint, FileSystem, PerformanceMode, ThroughputMode } from 'aws-cdk-lib/aws-efs';
import { AnyPrincipal, Effect, PolicyDocument, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';

/** The image's user, and the owner of all that the server writes: the access point makes every caller this one. */
const user = '1000';

export class Volume extends Construct {
  readonly vpc: Vpc;
  /** Of the function: it reaches the volume, and the internet through the NAT gateway; nothing reaches it. */
  readonly securityGroup: SecurityGroup;
  readonly accessPoint: AccessPoint;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    // A function in a VPC has no address of its own on the internet: the model API is reached through the NAT gateway. One is enough
    // for one function; it is also most of what the stack costs while it is idle.
    this.vpc = new Vpc(this, 'Vpc', {
      ipAddresses: IpAddresses.cidr('10.87.0.0/24'),
      maxAzs: 2,
      natGateways: 1,
      restrictDefaultSecurityGroup: false,
      subnetConfiguration: [
        { name: 'public', subnetType: SubnetType.PUBLIC, cidrMask: 27, mapPublicIpOnLaunch: false },
        { name: 'private', subnetType: SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 27 },
      ],
    });
    this.securityGroup = new SecurityGroup(this, 'ServerGroup', { vpc: this.vpc, description: 'PicoClaw: the server' });
    const mountGroup = new SecurityGroup(this, 'MountGroup', {
      vpc: this.vpc,
      description: 'PicoClaw: the volume',
      allowAllOutbound: false,
    });
    // Who mounts the volume is let through to it (and it alone), which is why there is no rule here.
    Annotations.of(this.securityGroup).acknowledgeWarning(
      '@aws-cdk/aws-ec2:ipv4IgnoreEgressRule',
      'everything may go out, the volume included',
    );

    const fileSystem = new FileSystem(this, 'FileSystem', {
      vpc: this.vpc,
      vpcSubnets: { subnetType: SubnetType.PRIVATE_WITH_EGRESS },
      securityGroup: mountGroup,
      encrypted: true,
      // With a policy that allows nothing, a mount needs a role that may; one that is not over TLS is refused to every role.
      fileSystemPolicy: new PolicyDocument({
        statements: [
          new PolicyStatement({
            effect: Effect.DENY,
            principals: [new AnyPrincipal()],
            actions: ['elasticfilesystem:*'],
            conditions: { Bool: { 'aws:SecureTransport': 'false' } },
          }),
        ],
      }),
      enableAutomaticBackups: true,
      performanceMode: PerformanceMode.GENERAL_PURPOSE,
      // Bursting throughput is a function of what is stored, which is little here.
      throughputMode: ThroughputMode.ELASTIC,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    this.accessPoint = fileSystem.addAccessPoint('AccessPoint', {
      path: '/picoclaw',
      posixUser: { uid: user, gid: user },
      createAcl: { ownerUid: user, ownerGid: user, permissions: '0700' },
    });
  }
}
