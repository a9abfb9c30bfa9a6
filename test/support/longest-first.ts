/** The order of the test files: those with processes of their own take longest, and none of them is to be the last one alone. */

import { BaseSequencer, type TestSpecification } from 'vitest/node';

const longest = ['/test/crash/', '/test/e2e/'];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}

function rank({ moduleId }: TestSpecification): number {
  const place = longest.findIndex((folder) => moduleId.includes(folder));
  return place === -1 ? longest.length : place;
}
