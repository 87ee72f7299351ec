import Long from "long";
import { causeway } from "../../../proto/gen/mesh.js";
import type { EpochMs } from "../../host.ts";
import type { Resource, TypeUrl } from "../resource.ts";
import { toResource } from "../wire.ts";
import { checkText, checkWhole, decodeBounded } from "./field-checks.ts";

const { SnapshotEnd } = causeway.peering;

/** In the Any of a marker, whatever the subscription's type. */
const SNAPSHOT_END_TYPE = "type.googleapis.com/causeway.peering.SnapshotEnd" as TypeUrl;
const NAME_PREFIX = "__synced__/";

/** Tells a marker, under whatever epoch, from a resource of the subscription's type. */
export const isSnapshotEnd = (name: string): boolean => name.startsWith(NAME_PREFIX);

/** What ends a subscription's first state (contract peering.md 2.4). */
export interface DecodedSnapshotEnd {
  /** Changes with each start of the serving control plane. */
  readonly epoch: string;
  /** Wall time in milliseconds, of the server. */
  readonly serverTimeMs: number;
  /** Over names and versions of the whole state, as `ContentDigest` has it; empty of a server that does not say. */
  readonly digest: string;
}

/** The last resource of a subscription's first state: only now is what the state lacks gone. */
export function snapshotEnd(epoch: string, serverTimeMs: EpochMs, digest = ""): Resource {
  const body = SnapshotEnd.encode({ epoch, serverTimeMs: Long.fromNumber(serverTimeMs), digest }).finish();
  return toResource(SNAPSHOT_END_TYPE, `${NAME_PREFIX}${epoch}`, body);
}

/** @throws MeshError `invalid`, naming the field. */
export function decodeSnapshotEnd(body: Uint8Array): DecodedSnapshotEnd {
  const message = decodeBounded("SnapshotEnd", body, 1024, () => SnapshotEnd.decode(body));
  return {
    epoch: checkText(message.epoch, "epoch"),
    serverTimeMs: checkWhole(message.serverTimeMs.toNumber(), "server_time_ms", 0, Number.MAX_SAFE_INTEGER),
    digest: checkText(message.digest, "digest"),
  };
}
