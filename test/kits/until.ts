/** So many turns of the event loop come at once: what needs no more than a few is not held up. */
const TURNS_AT_ONCE = 50;
const REST_MS = 2;

/** Lets I/O go on until something is so; a test that it never is ends by its timeout. */
export async function until(isSo: () => boolean): Promise<void> {
  for (let turns = 0; !isSo(); turns += 1) await (turns < TURNS_AT_ONCE ? turn() : nextTurn());
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * The next turn that the event loop makes of itself, or a moment later: whoever asks on every turn that he makes himself
 * takes a whole core from those for whom he waits.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, REST_MS);
    // Without a reference it makes no turn, and looks on at each.
    setImmediate(() => {
      clearTimeout(timer);
      resolve();
    }).unref();
  });
}
