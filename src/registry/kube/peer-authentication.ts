import { tolerantSelector } from "./authorization-policy.ts";
import { isFields, type Fields } from "./fields.ts";
import type { Selector } from "./labels.ts";
import { idOf, type Metadata, type ObjectId } from "./metadata.ts";

export type MutualTlsMode = "unset" | "disable" | "permissive" | "strict";

export interface PeerAuthentication {
  readonly id: ObjectId;
  readonly selector: Selector | undefined;
  readonly mode: MutualTlsMode;
  /** In ascending order of the port; modes are never unset. */
  readonly portModes: readonly { readonly port: number; readonly mode: MutualTlsMode }[];
  /** What could not be read, and was taken for STRICT or left closed. */
  readonly errors: readonly { readonly field: string; readonly message: string }[];
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
  const spec = isFields(object["spec"]) ? object["spec"] : {};
  const { selector, selectorError } = tolerantSelector(spec);
  const errors = selectorError ? [selectorError] : [];
  const mode = modeOf(spec["mtls"], "spec.mtls", errors);
  const portModes = portModesOf(spec["portLevelMtls"], errors);
  return { id: idOf(metadata), selector, mode, portModes, errors };
}

type Errors = { field: string; message: string }[];

/** A mode that cannot be read is STRICT: an error must not open what was meant to be closed. */
function modeOf(value: unknown, field: string, errors: Errors): MutualTlsMode {
  if (value === undefined || value === null) return "unset";
  const mode = isFields(value) ? MODES.get(value["mode"]) : undefined;
  if (mode) return mode;
  errors.push({
    field: `${field}.mode`,
    message: "cannot be read and counts as STRICT; use UNSET, DISABLE, PERMISSIVE or STRICT",
  });
  return "strict";
}

/** Ports that are none are left out: what the workload's own mode says holds for them. */
function portModesOf(value: unknown, errors: Errors): PeerAuthentication["portModes"] {
  const ports: { port: number; mode: MutualTlsMode }[] = [];
  if (value !== undefined && value !== null && !isFields(value))
    errors.push({ field: "spec.portLevelMtls", message: "is ignored; it must be a map from port to mode" });
  for (const [key, mode] of Object.entries(isFields(value) ? value : {})) {
    const field = `spec.portLevelMtls[${key.slice(0, 20)}]`;
    const port = /^[0-9]{1,5}$/.test(key) ? Number(key) : 0;
    const read = modeOf(mode, field, errors);
    if (port < 1 || port > 65_535)
      errors.push({ field, message: "is ignored; the key must be a port from 1 to 65535" });
    else if (read !== "unset") ports.push({ port, mode: read });
  }
  return ports.sort((a, b) => a.port - b.port);
}
