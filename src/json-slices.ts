/** Large enough to cost little per slice, small enough to be made in about a millisecond. */
const SLICE_CHARACTERS = 64 * 1024;

/**
 * `value` as JSON, in slices that are made only as they are taken, so that a whole mesh can be written without standing
 * still. Iterables are written as arrays, one element a line; what they hold is written at once.
 */
export function* jsonSlices(value: unknown): Generator<string, void> {
  let slice = "";
  for (const piece of pieces(value)) {
    slice += piece;
    if (slice.length < SLICE_CHARACTERS) continue;
    yield slice;
    slice = "";
  }
  yield `${slice}\n`;
}

function* pieces(value: unknown): Generator<string, void> {
  if (typeof value !== "object" || value === null) yield text(value);
  else if (isIterable(value)) {
    let between = "[\n";
    for (const element of value) {
      yield between + text(element);
      between = ",\n";
    }
    yield between === "[\n" ? "[]" : "\n]";
  } else {
    let between = "{\n";
    for (const [key, inner] of Object.entries(value)) {
      if (inner === undefined) continue;
      yield `${between}${JSON.stringify(key)}: `;
      yield* pieces(inner);
      between = ",\n";
    }
    yield between === "{\n" ? "{}" : "\n}";
  }
}

const isIterable = (value: object): value is Iterable<unknown> => Symbol.iterator in value;
const text = (value: unknown): string => JSON.stringify(value) ?? "null";
