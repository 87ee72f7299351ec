import { isFields } from "../kube/fields.ts";
import { FIELD_MANAGER } from "./changes.ts";
import type { FoundGateway, Side } from "./side.ts";

/** Gateways of one cluster that lead to those that leave. */
export interface TakenBack {
  readonly reader: Side;
  readonly ours: readonly FoundGateway[];
  /** Made by others: those are theirs to take back. */
  readonly foreign: readonly FoundGateway[];
}

export function takenBack(reader: Side, leaving: ReadonlySet<string>): TakenBack {
  const found = reader.remotes.filter(({ gateway: { leadsTo, network } }) => leaving.has(leadsTo ?? network ?? ""));
  return { reader, ours: found.filter(isOurs), foreign: found.filter((each) => !isOurs(each)) };
}

/** True if `link` has its spec: what a chart or a repository has comes back by itself. */
function isOurs({ object: { metadata } }: FoundGateway): boolean {
  const managed = metadata["managedFields"];
  const specs = (Array.isArray(managed) ? (managed as readonly unknown[]) : []).filter(
    (entry) => isFields(entry) && isFields(entry["fieldsV1"]) && "f:spec" in entry["fieldsV1"],
  );
  return specs.length > 0 && specs.every((entry) => isFields(entry) && entry["manager"] === FIELD_MANAGER);
}
