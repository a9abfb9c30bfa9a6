/** The id in a path: any text, percent-encoded. */

import { z } from '@hono/zod-openapi';
import { textFault } from '../domain/text.ts';

function idParam(about: { description: string; example: string }) {
  return z.strictObject({
    id: z
      .string()
      .refine((id) => textFault(id) === null, { error: ({ input }) => textFault(String(input)) ?? '' })
      .openapi(about),
  });
}

export const conversationParams = idParam({
  description: 'The conversation.',
  example: 'conv-0f6a1c9e-7f3d-4a62-9a53-0d0b1a4a7c11',
});

export const taskParams = idParam({ description: 'The task.', example: 'umbrella' });
