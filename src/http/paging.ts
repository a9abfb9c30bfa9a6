/** What every list takes, and what tells of its next page. */

import { z } from '@hono/zod-openapi';
import type { ListInput } from '../conversations/read.ts';

const maxLimit = 200;
const defaultLimit = 50;

export const pageQuery = z.strictObject({
  limit: z
    .string()
    .refine((text) => /^\d{1,3}$/.test(text) && Number(text) >= 1 && Number(text) <= maxLimit, {
      error: `must be an integer from 1 to ${maxLimit}`,
    })
    .optional()
    .openapi({
      description: `How many, 1 to ${maxLimit}; ${defaultLimit} without it.`,
      type: 'integer',
      minimum: 1,
      maximum: maxLimit,
      default: defaultLimit,
    }),
  cursor: z.string().min(1).optional().openapi({ description: '`next_cursor` of the page before.' }),
});

export const nextCursor = z
  .string()
  .nullable()
  .openapi({ description: 'The `cursor` of the next page; null on the last.' });

export function toListInput(query: z.output<typeof pageQuery>): ListInput {
  return { limit: query.limit === undefined ? defaultLimit : Number(query.limit), cursor: query.cursor ?? null };
}
