/**
 * How a run ended, judged from what is known of it; pure.
 *
 * Judged by `is_error`, never by the result's subtype: an API error comes as subtype `success`. What a caller reads
 * says what happened and, where the API explained itself, its words; never a credential, a path or a stack.
 */

import type { SDKAssistantMessageError, SDKResultMessage } from '@anthropic-ai/claude-agent-sdk';
import { Problem, type ProblemCode } from '../domain/problem.ts';
import type { RunOptions } from '../domain/run.ts';
import type { Tally } from './tally.ts';

/** Why we ended the run ourselves. */
export type Cut = 'aborted' | 'refused_credential' | 'silent_model' | 'no_start';

export type Ending = {
  cut: Cut | null;
  result: SDKResultMessage | null;
  /** How the process died, if it did before the result. */
  death: string | null;
  tally: Tally;
  options: Pick<RunOptions, 'maxTurns' | 'maxBudgetUsd'>;
};

export type Outcome = { outcome: 'success' | 'interrupted' } | { outcome: 'error'; problem: Problem };

export function decideOutcome(ending: Ending): Outcome {
  const { cut, result } = ending;
  // An answer that was whole when we cut it off is an answer.
  if (result && isWhole(result)) return { outcome: 'success' };
  if (cut === 'aborted') return { outcome: 'interrupted' };
  return { outcome: 'error', problem: toProblem(ending) };
}

/** For a run that never had a process; the cause is in the log. */
export function cannotStart(): Problem {
  return new Problem('agent_failed', 'The agent could not be started.');
}

/** Retrying cannot help: the key is wrong, and the CLI would try for minutes. */
export function isHopeless(status: number | null): boolean {
  return status === 401 || status === 403;
}

function isWhole(result: SDKResultMessage): boolean {
  return result.subtype === 'success' && !result.is_error && !result.terminal_reason?.startsWith('aborted');
}

function toProblem({ cut, result, death, tally, options }: Ending): Problem {
  if (cut === 'refused_credential') return describe('model_auth', tally.apiError?.text ?? '');
  if (cut === 'silent_model') return new Problem('model_unreachable', 'The model API stopped answering.');
  if (cut === 'no_start') return new Problem('agent_failed', 'The agent did not start in time.');
  if (result === null)
    return new Problem('agent_failed', `The agent ended before it had an answer: ${death ?? 'no result'}.`);
  switch (result.subtype) {
    case 'error_max_turns':
      return new Problem('limit_reached', `The run used up its ${options.maxTurns ?? 'allowed'} turns.`);
    case 'error_max_budget_usd':
      return new Problem('limit_reached', `The run used up its budget of ${options.maxBudgetUsd ?? 0} USD.`);
    case 'success': {
      if (result.stop_reason === 'refusal') return new Problem('model_refused', 'The model declined to answer.');
      const text = tally.apiError?.text || result.result;
      return describe(
        classify(result.api_error_status ?? tally.apiError?.status ?? null, tally.apiError?.kind, text),
        text,
      );
    }
    default:
      return new Problem('agent_failed', 'The agent stopped before it had an answer.');
  }
}

function classify(status: number | null, kind: SDKAssistantMessageError | undefined, text: string): ProblemCode {
  if (status !== null) return ofStatus(status);
  if (/ECONN|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|connection error|timed? ?out/i.test(text)) {
    return 'model_unreachable';
  }
  return kind === undefined ? 'agent_failed' : ofKind(kind);
}

function ofStatus(status: number): ProblemCode {
  if (isHopeless(status)) return 'model_auth';
  if (status === 429) return 'model_rate_limited';
  if (status === 529) return 'model_overloaded';
  return status >= 500 ? 'model_failed' : 'model_refused';
}

function ofKind(kind: SDKAssistantMessageError): ProblemCode {
  switch (kind) {
    case 'authentication_failed':
    case 'oauth_org_not_allowed':
    case 'account_on_hold':
    case 'verification_required':
    case 'cloud_credential_error':
      return 'model_auth';
    case 'rate_limit':
      return 'model_rate_limited';
    case 'overloaded':
      return 'model_overloaded';
    case 'server_error':
    // Something answered that is not the model API: a proxy's page, an empty stream.
    case 'unknown':
      return 'model_failed';
    case 'billing_error':
    case 'invalid_request':
    case 'model_not_found':
      return 'model_refused';
    case 'max_output_tokens':
      return 'limit_reached';
    default:
      return kind satisfies never;
  }
}

const openings: Partial<Record<ProblemCode, string>> = {
  model_auth: 'The model API refused the credential of this server.',
  model_rate_limited: 'The model API is limiting the rate; try again later.',
  model_overloaded: 'The model API is overloaded; try again later.',
  model_unreachable: 'The model API cannot be reached.',
  model_refused: 'The model API refused the request.',
  model_failed: 'The model API failed.',
  // The CLI's own words name a setting of its own.
  limit_reached: 'The answer was longer than the model may write.',
};

function describe(code: ProblemCode, said: string): Problem {
  const opening = openings[code] ?? 'The agent failed.';
  // Its words help with a request that it refuses; for the rest they are noise, or (a bad key) a part of the secret.
  return new Problem(code, code === 'model_refused' && said !== '' ? `${opening} It said: ${shorten(said)}` : opening);
}

/** Characters of what the API said that a caller gets. */
const maxSaid = 500;

function shorten(text: string): string {
  const line = text
    .replace(/^API Error:\s*/, '')
    .replace(/\s+/g, ' ')
    .trim();
  return line.length > maxSaid ? `${line.slice(0, maxSaid)}…` : line;
}
