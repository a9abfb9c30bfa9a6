/**
 * Calls POST /task/check every so many minutes: EventBridge Scheduler invokes the function asynchronously with an event that reads like a
 * request of an HTTP API, and the Lambda Web Adapter makes that request of it.
 *
 * Not an API destination of EventBridge: that gives up after 5 s, and the answer comes when the task has run.
 */

import { Duration } from 'aws-cdk-lib';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { Schedule, ScheduleExpression, ScheduleTargetInput } from 'aws-cdk-lib/aws-scheduler';
import { LambdaInvoke } from 'aws-cdk-lib/aws-scheduler-targets';
import { Construct } from 'constructs';

export type ClockInput = { handler: IFunction; token: string; minutes: number; key: IKey };

export class Clock extends Construct {
  constructor(scope: Construct, id: string, { handler, token, minutes, key }: ClockInput) {
    super(scope, id);
    new Schedule(this, 'Check', {
      description: 'PicoClaw: runs a task that is due',
      schedule: ScheduleExpression.rate(Duration.minutes(minutes)),
      // Its input has the token.
      key,
      target: new LambdaInvoke(handler, {
        input: ScheduleTargetInput.fromObject(checkEvent(token)),
        retryAttempts: 0,
        maxEventAge: Duration.minutes(1),
      }),
    });
  }
}

/** Payload format 2.0, with all that its readers ask for. */
function checkEvent(token: string) {
  const path = '/task/check';
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: '',
    headers: { authorization: `Bearer ${token}`, host: 'scheduler', 'user-agent': 'picoclaw-scheduler' },
    requestContext: {
      accountId: 'anonymous',
      apiId: 'scheduler',
      domainName: 'scheduler',
      domainPrefix: 'scheduler',
      http: { method: 'POST', path, protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: 'picoclaw-scheduler' },
      requestId: 'scheduler',
      routeKey: '$default',
      stage: '$default',
      time: '01/Jan/2026:00:00:00 +0000',
      timeEpoch: 1_767_225_600_000,
    },
    isBase64Encoded: false,
  };
}
