import fc from "fast-check";

/**
 * How a fuzzer runs: the same each time in `npm test`. `FUZZ_RUNS=100000 FUZZ_SEED=7 npx mocha --no-config --ui
 * tdd dist/test/ca/fuzz.test.js` runs longer, and from another seed; what it finds is printed with the seed that finds it again.
 */
export function fuzzing(runs: number): fc.Parameters<unknown> {
  const { FUZZ_RUNS, FUZZ_SEED } = process.env;
  return { numRuns: Number(FUZZ_RUNS ?? runs), seed: Number(FUZZ_SEED ?? 20_261_121) };
}

/** Milliseconds that a fuzzer may take: as long as it likes, if somebody asked for more. */
export const FUZZ_MS = process.env["FUZZ_RUNS"] === undefined ? 20_000 : 0;
