import type { PeerLogs } from "../xds/peer-gate.ts";
import { TYPE_NAMES } from "../xds/resource.ts";

/**
 * What goes over a link, by type, as `FSDS`: how many records, and a digest over their names and versions. Both ends have
 * the same if each record that the exporter shares with the importer is held there as it is now.
 */
export type LinkContents = Readonly<Record<string, { readonly records: number; readonly digest: string }>>;

/** What a peer may read of ours. */
export const contentsOf = (logs: PeerLogs): LinkContents =>
  Object.fromEntries(
    Array.from(logs, ([typeUrl, { size, digest }]) => [TYPE_NAMES.get(typeUrl), { records: size, digest }]),
  );
