/** A tool said once: the same definition is listed to clients, checks the arguments of a call and acts on them. */

import type { ToolAnnotations } from '@modelcontextprotocol/sdk/types.js';
import type { z } from 'zod';
import { invalidRequest } from '../domain/invalid-request.ts';
import { check } from '../lib/check.ts';
import type { ToolBackend } from './backend.ts';

export type Tool = {
  name: string;
  description: string;
  /** Of its arguments; no others are taken. */
  input: z.ZodObject;
  annotations: ToolAnnotations;
  /** What the model reads. Rejects with a `Problem` or a `ToolError` for what it may be told. */
  act(deps: ToolDeps, args: unknown): Promise<string>;
};

/** What a tool acts with. */
export type ToolDeps = {
  backend: ToolBackend;
  /** UTC. */
  now: string;
};

type ToolDefinition<Input extends z.ZodObject> = Omit<Tool, 'input' | 'act'> & {
  input: Input;
  act(deps: ToolDeps, args: z.output<Input>): Promise<string>;
};

export function defineTool<Input extends z.ZodObject>(definition: ToolDefinition<Input>): Tool {
  const { input, act } = definition;
  return {
    ...definition,
    act: async (deps, args) => {
      const checked = check(input, args, { showsValues: true });
      if (checked.kind === 'faulty') throw invalidRequest(checked.faults);
      return act(deps, checked.value);
    },
  };
}
