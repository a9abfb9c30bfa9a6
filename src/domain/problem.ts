/**
 * The error catalogue and the one error class whose content a caller may see.
 *
 * Everything else that is thrown is a bug or a passing fault: it is answered as `internal_error`, logged with its stack,
 * and its message never leaves the process. The wire format is RFC 9457; `error` repeats `detail` for 1.x clients.
 */

type CatalogueEntry = { status: number; title: string; retryable: boolean; hint: string };

/** `hint` is for the operator: it goes to the log and the generated table, not to the caller. */
export const catalogue = {
  malformed_json: {
    status: 400,
    title: 'The body is not valid JSON',
    retryable: false,
    hint: 'The caller sent something that is not JSON.',
  },
  invalid_request: {
    status: 400,
    title: 'The request is not valid',
    retryable: false,
    hint: 'The members of `errors` name each field and its fault.',
  },
  unauthorized: {
    status: 401,
    title: 'Authentication is required',
    retryable: false,
    hint: 'The caller sent no token, or one that is not in API_TOKEN.',
  },
  forbidden: {
    status: 403,
    title: 'This is not allowed here',
    retryable: false,
    hint: 'A setting forbids what was asked; the detail names it.',
  },
  not_found: { status: 404, title: 'Not found', retryable: false, hint: 'An unknown id or path.' },
  method_not_allowed: {
    status: 405,
    title: 'The method is not allowed for this path',
    retryable: false,
    hint: 'The Allow header lists the methods of the path.',
  },
  conversation_busy: {
    status: 409,
    title: 'The conversation is busy',
    retryable: true,
    hint: 'A run is active in the conversation; nothing of the refused request was stored.',
  },
  task_exists: {
    status: 409,
    title: 'The task exists',
    retryable: false,
    hint: 'A task with this id is there; PUT /task/:id changes it.',
  },
  task_busy: {
    status: 409,
    title: 'The task is running',
    retryable: true,
    hint: 'A run of the task is under way, or was cut off and its lease has not expired yet.',
  },
  body_too_large: {
    status: 413,
    title: 'The body is too large',
    retryable: false,
    hint: 'The limit is 1 MB.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'The content type is not supported',
    retryable: false,
    hint: 'Send application/json or no content type.',
  },
  internal_error: {
    status: 500,
    title: 'Internal error',
    retryable: true,
    hint: 'A bug or a passing fault; the log has its stack under the same request id.',
  },
  not_durable: {
    status: 503,
    title: 'The answer could not be made durable',
    retryable: true,
    hint: 'STORE_DIR could not be written (full, read-only, gone); the log has the cause.',
  },
  store_owned_elsewhere: {
    status: 503,
    title: 'Another instance has the volume',
    retryable: true,
    hint: 'Two instances share STORE_DIR: one works at a time, the other waits for it and then gives up. `owner` names it.',
  },
  store_unavailable: {
    status: 503,
    title: 'The database cannot be used',
    retryable: true,
    hint: 'The local disk is full, or what STORE_DIR holds cannot be read whole; the log says which, and so does the command `doctor`.',
  },
  skills_failed: {
    status: 503,
    title: 'The skills could not be installed',
    retryable: true,
    hint: 'A folder of skills could not be read, or MEMORY_DIR not be written; the log has the cause. Those installed before stay.',
  },
  run_lost: {
    status: 503,
    title: 'The run was taken over',
    retryable: true,
    hint: 'Another instance found this run without its lease and closed it; two instances share one volume.',
  },
  overloaded: {
    status: 503,
    title: 'Too many runs at once',
    retryable: true,
    hint: 'As many runs work and wait as there is memory for; give the container more, or spread the requests.',
  },
  shutting_down: {
    status: 503,
    title: 'The server is shutting down',
    retryable: true,
    hint: 'A signal or POST /control/stop asked it to; another instance or a restart will serve.',
  },
  // What a run can fail with. It is answered inside a 200 (`status: "error"`), so the status here is that of the cause.
  agent_failed: {
    status: 502,
    title: 'The agent failed',
    retryable: true,
    hint: 'The claude process ended or misbehaved; the log has what it said last.',
  },
  model_auth: {
    status: 502,
    title: 'The model API refused the credential',
    retryable: false,
    hint: 'Check ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN, and ANTHROPIC_BASE_URL.',
  },
  model_rate_limited: {
    status: 502,
    title: 'The model API is limiting the rate',
    retryable: true,
    hint: 'Too many requests or tokens for the account; retries were used up.',
  },
  model_overloaded: {
    status: 502,
    title: 'The model API is overloaded',
    retryable: true,
    hint: 'Passing; retries were used up. CLAUDE_FALLBACK_MODEL gives the run another model.',
  },
  model_unreachable: {
    status: 502,
    title: 'The model API cannot be reached',
    retryable: true,
    hint: 'Check the network, a proxy, and ANTHROPIC_BASE_URL.',
  },
  model_refused: {
    status: 502,
    title: 'The model API refused the request',
    retryable: false,
    hint: 'The detail has what it said: an unknown model, a prompt that is too long, a policy.',
  },
  model_failed: {
    status: 502,
    title: 'The model API failed',
    retryable: true,
    hint: 'A fault on its side; retries were used up.',
  },
  limit_reached: {
    status: 422,
    title: 'A limit of the run was reached',
    retryable: false,
    hint: 'max_turns or max_budget_usd ended the run.',
  },
  run_cancelled: {
    status: 503,
    title: 'The run was cancelled',
    retryable: true,
    hint: 'A shutdown ended it; the text until then is kept.',
  },
  run_timeout: {
    status: 504,
    title: 'The run took too long',
    retryable: true,
    hint: 'max_execution_ms (at most MAX_EXECUTION_MS) ended it; the text until then is kept.',
  },
} as const satisfies Record<string, CatalogueEntry>;

export type ProblemCode = keyof typeof catalogue;

export type FieldError = { path: string; message: string };

export type ProblemBody = {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ProblemCode;
  retryable: boolean;
  /** = `detail`; 1.x clients read it. */
  error: string;
  errors?: FieldError[];
  conversation_id?: string;
  task_id?: string;
  /** Of `store_owned_elsewhere`: host name and process id of the other instance, where it is known. */
  owner?: string;
  request_id?: string;
};

export type ProblemContext = {
  errors?: FieldError[];
  conversationId?: string;
  taskId?: string;
  owner?: string;
  /** Seconds; sent as Retry-After. */
  retryAfterS?: number;
  /** Methods of the path; sent as Allow. */
  allow?: string[];
  cause?: unknown;
};

/** What a caller may see of a fault. Use `detail` for what they can act on. */
export class Problem extends Error {
  readonly code: ProblemCode;
  readonly context: ProblemContext;

  constructor(code: ProblemCode, detail: string, context: ProblemContext = {}) {
    super(detail, { cause: context.cause });
    this.name = 'Problem';
    this.code = code;
    this.context = context;
  }

  get status(): number {
    return catalogue[this.code].status;
  }

  toBody(requestId?: string): ProblemBody {
    const { status, title, retryable } = catalogue[this.code];
    const { errors, conversationId, taskId, owner } = this.context;
    return {
      type: `urn:picoclaw:problem:${this.code}`,
      title,
      status,
      detail: this.message,
      code: this.code,
      retryable,
      error: this.message,
      ...(errors ? { errors } : {}),
      ...(conversationId ? { conversation_id: conversationId } : {}),
      ...(taskId ? { task_id: taskId } : {}),
      ...(owner ? { owner } : {}),
      ...(requestId ? { request_id: requestId } : {}),
    };
  }
}

/** The texts are those of PicoClaw 1.x. */
export function conversationNotFound(id: string): Problem {
  return new Problem('not_found', `conversation_id not found: ${id}`, { conversationId: id });
}

export function conversationBusy(id: string, taskId?: string): Problem {
  return new Problem('conversation_busy', `Conversation ${id} is currently processing another request`, {
    conversationId: id,
    ...(taskId === undefined ? {} : { taskId }),
    retryAfterS: 1,
  });
}

export function taskNotFound(id: string): Problem {
  return new Problem('not_found', `task not found: ${id}`, { taskId: id });
}

export function taskBusy(id: string): Problem {
  const detail = `Task ${id} is running, or was cut off and may be run again when its lease is over`;
  return new Problem('task_busy', detail, { taskId: id, retryAfterS: 1 });
}

/** `owner` is null where it is not known. */
export function storeOwnedElsewhere(owner: string | null): Problem {
  const who = owner === null ? 'another instance' : `another instance (${owner})`;
  return new Problem('store_owned_elsewhere', `${who} is at work on the volume; nothing was done`, {
    ...(owner === null ? {} : { owner }),
    retryAfterS: 2,
  });
}

export function storeTakenOver(): Problem {
  const detail =
    'another instance has taken the volume over meanwhile; if this was a change, it may have been stored: look before you send it again';
  return new Problem('store_owned_elsewhere', detail, { retryAfterS: 1 });
}
