/** Each two of them once, in their order. */
export const pairsOf = <V>(all: readonly V[]): readonly (readonly [V, V])[] =>
  all.flatMap((first, at) => all.slice(at + 1).map((second) => [first, second] as const));
