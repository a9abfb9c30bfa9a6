/**
 * The address of the API: a regional REST API of API Gateway that passes every request on and streams every answer.
 *
 * Not a function URL: its streaming is not supported for a function in a VPC. Nobody is let in or kept out here: the server asks for API_TOKEN.
 */

import { Duration } from 'aws-cdk-lib';
import { EndpointType, LambdaIntegration, ResponseTransferMode, RestApi } from 'aws-cdk-lib/aws-apigateway';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';

export class Endpoint extends Construct {
  readonly url: string;

  constructor(
    scope: Construct,
    id: string,
    { handler, timeoutSeconds }: { handler: IFunction; timeoutSeconds: number },
  ) {
    super(scope, id);
    const api = new RestApi(this, 'Api', {
      restApiName: 'picoclaw',
      // An edge-optimised one would end a stream after 30 s without a byte; this one after 5 min.
      endpointTypes: [EndpointType.REGIONAL],
      cloudWatchRole: false,
      deployOptions: { stageName: 'v2', throttlingRateLimit: 20, throttlingBurstLimit: 40 },
    });
    const integration = new LambdaIntegration(handler, {
      responseTransferMode: ResponseTransferMode.STREAM,
      timeout: Duration.seconds(timeoutSeconds),
      allowTestInvoke: false,
    });
    api.root.addMethod('ANY', integration);
    api.root.addProxy({ defaultIntegration: integration, anyMethod: true });
    this.url = api.url;
  }
}
