/** For tests. */

import { z } from 'zod';

const join = z.strictObject({ 'Fn::Join': z.tuple([z.string(), z.array(z.unknown())]) });
const attribute = z.strictObject({ 'Fn::GetAtt': z.tuple([z.string(), z.string()]) });
const reference = z.strictObject({ Ref: z.string() });

/** A value of a template as one text: references are the logical ids that they refer to. */
export function flat(value: unknown): string {
  if (value === undefined) return '';
  if (typeof value !== 'object' || value === null) return String(value);
  const joined = join.safeParse(value);
  if (joined.success) return joined.data['Fn::Join'][1].map(flat).join(joined.data['Fn::Join'][0]);
  const referred = reference.safeParse(value);
  if (referred.success) return referred.data.Ref;
  const got = attribute.safeParse(value);
  if (got.success) return got.data['Fn::GetAtt'].join('.');
  return Object.entries(value)
    .map(([name, part]) => (Array.isArray(value) ? flat(part) : `${name}: ${flat(part)}`))
    .join('\n');
}
