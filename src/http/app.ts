/**
 * The HTTP API as a function from requests to responses; it runs over a socket (`server.ts`) and in process.
 *
 * Order of a request: headers of every response → timing → log → errors → wrong method → authentication → shutdown → path →
 * the route, which reads and validates, and then uses the store. Nothing of the body is read before authentication.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { methodNotAllowed } from 'hono/method-not-allowed';
import { Problem } from '../domain/problem.ts';
import { newId } from '../lib/ids.ts';
import type { Log } from '../lib/log.ts';
import { type AuthSettings, auth } from './auth.ts';
import type { AppContext, AppEnv, AppMiddleware, UseStore } from './context.ts';
import { answerError, catchAll, problemResponse } from './errors.ts';
import type { HealthAnswerDeps } from './health.ts';
import { requestLog } from './request-log.ts';
import { type AdminRouteDeps, addAdminRoutes } from './routes/admin.ts';
import { addChatRoutes, type ChatRouteDeps } from './routes/chat.ts';
import { addControlRoutes, type ControlRouteDeps } from './routes/control.ts';
import { addConversationRoutes, type ConversationRouteDeps } from './routes/conversations.ts';
import { addHealthRoutes } from './routes/health.ts';
import { addOpenApiRoutes } from './routes/openapi.ts';
import { addOutboundRoutes, type OutboundRouteDeps } from './routes/outbound.ts';
import { addTaskRunRoutes, type TaskRunRouteDeps } from './routes/task-runs.ts';
import { addTaskRoutes, type TaskRouteDeps } from './routes/tasks.ts';
import { stamp, stampHeaders } from './stamp.ts';
import { serverTiming, stampTimings } from './timing.ts';

export type AppSettings = HealthAnswerDeps['settings'] &
  ChatRouteDeps['settings'] &
  AuthSettings & {
    shutdownGraceMs: number;
  };

export type AppDeps = {
  operations: ChatRouteDeps['operations'] &
    ConversationRouteDeps['operations'] &
    OutboundRouteDeps['operations'] &
    TaskRouteDeps['operations'] &
    TaskRunRouteDeps['operations'] &
    AdminRouteDeps['operations'];
  useStore: UseStore;
  health: HealthAnswerDeps['health'];
  /** Whether a shutdown has begun. */
  stopping(): boolean;
  requestStop: ControlRouteDeps['requestStop'];
  log: Log;
  settings: AppSettings;
};

export type HttpApp = {
  fetch(request: Request): Response | Promise<Response>;
  /** `fetch` for a request and a response of node's. */
  handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void>;
  /** The response to a request that never got as far as `fetch`: logged and stamped as all are. */
  refuse(problem: Problem): Response;
};

const openPaths = ['/health', '/openapi.json'];
const beginsRuns = ['/chat', '/task/check', '/task/trigger'];
/** Without this, they would be a task's path to every other method. No task can have these names for its id. */
const onlyPost = ['/task/check', '/task/trigger'];

export function createApp(deps: AppDeps): HttpApp {
  const { log, settings } = deps;
  // Not strict: PicoClaw 1.x took a path with a slash at its end for the same path.
  const app = new Hono<AppEnv>({ strict: false });
  app.onError((error, c) => answerError(c, error, log));
  app.notFound((c) => problemResponse(new Problem('not_found', `no such path: ${c.req.path}`), c.get('requestId')));
  app.use(stamp(settings));
  app.use(serverTiming);
  app.use(requestLog(log));
  app.use(async (c, next) => {
    c.set('useStore', deps.useStore);
    await next();
  });
  app.use(catchAll(log));
  app.use(methodNotAllowed({ app, onMethodNotAllowed: answerWrongMethod }));
  app.use(auth(settings, openPaths));
  app.use(checkPath);
  for (const path of beginsRuns) app.post(path, refuseWhileStopping(deps));
  for (const path of onlyPost) app.use(path, refuseOtherThanPost);
  addHealthRoutes(app, deps);
  addChatRoutes(app, deps);
  addConversationRoutes(app, deps);
  addOutboundRoutes(app, deps);
  addTaskRoutes(app, deps);
  addTaskRunRoutes(app, deps);
  addAdminRoutes(app, deps);
  addControlRoutes(app, deps);
  addOpenApiRoutes(app, deps);
  const fetch: HttpApp['fetch'] = (request) => app.fetch(request);
  const refuse: HttpApp['refuse'] = (problem) => {
    const requestId = newId('req');
    log.info({ request_id: requestId, method: null, route: null, status: problem.status }, 'request');
    const response = problemResponse(problem, requestId);
    stampHeaders(response.headers, requestId, settings);
    stampTimings(response.headers, { total: 0 });
    return response;
  };
  const handle = getRequestListener(fetch, {
    // The global Request and Response stay node's: other code in the process relies on them.
    overrideGlobalObjects: false,
    errorHandler: () => refuse(new Problem('invalid_request', 'the request target or the Host header is not valid')),
  });
  return { fetch, handle, refuse };
}

function answerWrongMethod(c: AppContext, allow: string[]): Response {
  const detail = `${c.req.method} is not a method of ${c.req.path}; it has ${allow.join(', ')}`;
  return problemResponse(new Problem('method_not_allowed', detail, { allow }), c.get('requestId'));
}

const refuseOtherThanPost: AppMiddleware = async (c, next) => {
  return c.req.method === 'POST' ? next() : answerWrongMethod(c, ['POST']);
};

const checkPath: AppMiddleware = async (c, next) => {
  try {
    decodeURIComponent(new URL(c.req.url).pathname);
  } catch (cause) {
    throw new Problem('invalid_request', 'the path has a percent sign that begins no valid encoding', { cause });
  }
  await next();
};

/** Said before the body is read: nothing that it could hold would change the answer. */
function refuseWhileStopping({ stopping, settings }: AppDeps): AppMiddleware {
  return async (_, next) => {
    if (stopping())
      throw new Problem('shutting_down', 'the server is shutting down', {
        retryAfterS: Math.ceil(settings.shutdownGraceMs / 1000),
      });
    await next();
  };
}
