import { status } from "@grpc/grpc-js";
import { CallError } from "./call-error.ts";
import type { Faults } from "./faults.ts";

export interface Page<T> {
  readonly items: readonly T[];
  /** Empty after the last, which is itself empty: SPIRE does not look whether more follows. */
  readonly next: string;
}

/** What a list asks for. Without a size, all is one page, whatever the token. */
export interface PageRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

/**
 * A page of a list in the order of its keys: what comes after the one that a token names, as it may be gone. Before the
 * key, a token counts the pages so far.
 * @throws CallError
 */
export function pageOf<T>(
  all: readonly T[],
  keyOf: (item: T) => string,
  { pageSize, pageToken }: PageRequest,
  { pageMax, failAfterPages }: Pick<Faults, "pageMax" | "failAfterPages">,
): Page<T> {
  const [, count = "0", after = ""] = /^(\d+):(.*)$/s.exec(pageToken) ?? [];
  const size = Math.min(pageSize > 0 ? pageSize : Infinity, pageMax ?? Infinity);
  if (size === Infinity) return { items: all, next: "" };
  if (pageToken !== "" && after === "")
    throw new CallError(status.INTERNAL, `failed to list: could not parse token '${pageToken}'`);
  const pages = Number(count);
  if (failAfterPages !== undefined && pages >= failAfterPages)
    throw new CallError(status.INTERNAL, "failed to list: database is locked");
  const items = all.filter((item) => keyOf(item) > after).slice(0, size);
  const last = items.at(-1);
  return { items, next: last === undefined ? "" : `${pages + 1}:${keyOf(last)}` };
}
