/** Text that several requests have: names, and ids of other makes. */

import { z } from '@hono/zod-openapi';

const maxNameCharacters = 200;
/** Ids of other makes are taken too (PicoClaw 1.x let callers choose some), but not without end. */
const maxIdCharacters = 500;

export const nonBlank = z.string().refine((text) => text.trim() !== '', { error: 'must not be blank' });
export const name = nonBlank.max(maxNameCharacters);
export const givenId = z.string().min(1).max(maxIdCharacters);
