/** Text that several requests have: names, and ids of other makes. */

import { z } from '@hono/zod-openapi';
import { maxIdCharacters, maxNameCharacters } from '../domain/text.ts';

export const nonBlank = z.string().refine((text) => text.trim() !== '', { error: 'must not be blank' });
export const name = nonBlank.max(maxNameCharacters);
export const givenId = z.string().min(1).max(maxIdCharacters);
