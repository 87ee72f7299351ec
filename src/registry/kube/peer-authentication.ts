import { tolerantSelector, tolerantSpec, type Unread } from "./authorization-policy.ts";
import { isAbsent, isFields, type Fields } from "./fields.ts";
import type { Selector } from "./labels.ts";
import { idOf, type Metadata, type ObjectId } from "./metadata.ts";

export type MutualTlsMode = "unset" | "disable" | "permissive" | "strict";

export interface PeerAuthentication {
  readonly id: ObjectId;
  readonly selector: Selector | undefined;
  /**
   * False if whom it binds is in doubt and it closes nothing: then it neither opens, nor stands before another that
   * closes.
   */
  readonly binds: boolean;
  readonly mode: MutualTlsMode;
  /** In ascending order of the port; modes are never unset. */
  readonly portModes: readonly { readonly port: number; readonly mode: MutualTlsMode }[];
  /** What could not be read, and was taken for STRICT or left closed. */
  readonly errors: readonly Unread[];
}

const MODES = new Map<unknown, MutualTlsMode>([
  [undefined, "unset"],
  [null, "unset"],
  ["UNSET", "unset"],
  ["DISABLE", "disable"],
  ["PERMISSIVE", "permissive"],
  ["STRICT", "strict"],
]);

export function readPeerAuthentication(metadata: Metadata, object: Fields): PeerAuthentication {
  const errors: Unread[] = [];
  const spec = tolerantSpec(object, ["mtls", "portLevelMtls", "selector"], errors);
  // What stands in a field that nobody knows may have been the mode.
  const lost = errors.length > 0;
  const selector = tolerantSelector(spec, errors);
  const doubts = errors.splice(0).map(({ field, message }) => ({ field, message: `${message}; ${IN_DOUBT}` }));
  const mode = modeOf(spec["mtls"], "spec.mtls", errors);
  const ports = portModesOf(spec["portLevelMtls"], errors);
  const read: PeerAuthentication = {
    id: idOf(metadata),
    selector,
    binds: true,
    mode: lost || ports.lost ? "strict" : mode,
    portModes: ports.modes,
    errors: [...doubts, ...errors],
  };
  return doubts.length > 0 ? closed(read) : read;
}

const IN_DOUBT = "until this is fixed, it opens nothing, and if it closes anything it is STRICT for all it may bind";

/** What holds of one whose metadata cannot be read. */
export const readDoubtfulPeerAuthentication = (bare: Metadata, object: Fields): PeerAuthentication =>
  closed(readPeerAuthentication(bare, object));

/** Whom it is for is not known for sure: what it would open stays as it was, and what it would close is closed. */
function closed(read: PeerAuthentication): PeerAuthentication {
  const closes = read.mode === "strict" || read.portModes.some(({ mode }) => mode === "strict");
  return closes ? { ...read, mode: "strict", portModes: [] } : { ...read, binds: false };
}

/** A mode that cannot be read is STRICT: an error must not open what was meant to be closed. */
function modeOf(value: unknown, field: string, errors: Unread[]): MutualTlsMode {
  if (isAbsent(value)) return "unset";
  // A field beside the mode may be the mode misspelt.
  const sound = isFields(value) && Object.keys(value).every((key) => key === "mode");
  const mode = sound ? MODES.get(value["mode"]) : undefined;
  if (mode) return mode;
  errors.push({
    field: `${field}.mode`,
    message: "cannot be read and counts as STRICT; use UNSET, DISABLE, PERMISSIVE or STRICT",
  });
  return "strict";
}

/** `lost` is true if some port was to be closed and nobody knows which: then all must be. */
function portModesOf(
  value: unknown,
  errors: Unread[],
): { readonly modes: PeerAuthentication["portModes"]; readonly lost: boolean } {
  if (!isAbsent(value) && !isFields(value)) {
    errors.push({ field: "spec.portLevelMtls", message: "must be a map from port to mode; all ports are STRICT" });
    return { modes: [], lost: true };
  }
  const modes: { port: number; mode: MutualTlsMode }[] = [];
  let lost = false;
  for (const [key, written] of Object.entries(value ?? {})) {
    const field = `spec.portLevelMtls[${key.slice(0, 20)}]`;
    const port = /^[0-9]{1,5}$/.test(key) ? Number(key) : 0;
    const mode = modeOf(written, field, errors);
    if (port >= 1 && port <= 65_535) {
      if (mode !== "unset") modes.push({ port, mode });
      continue;
    }
    lost ||= mode === "strict";
    const effect = mode === "strict" ? "so all ports are STRICT" : "so it is ignored";
    errors.push({ field, message: `is for no port from 1 to 65535, ${effect}` });
  }
  return { modes: modes.sort((a, b) => a.port - b.port), lost };
}
