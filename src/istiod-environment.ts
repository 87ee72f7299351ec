import type { Environment } from "./command.ts";
import { CONFIG_VARIABLES } from "./config.ts";
import { IDLE_VARIABLES } from "./idle-variables.ts";
import { FIXED_VARIABLES, sameSetting } from "./istiod-variables.ts";
import { nearestName } from "./nearest-name.ts";
import { printable } from "./printable.ts";
import { TRACE_VARIABLES } from "./trace-config.ts";

/** What becomes of the variables that users of istiod have set, each of them in a sentence. */
export interface EnvironmentNotices {
  /** Somebody relies on what Causeway does not do: it must not start. */
  readonly refusals: readonly string[];
  /** Names that look like istiod's, and that nobody knows. */
  readonly warnings: readonly string[];
  /** What has no effect, and needs none. */
  readonly notes: readonly string[];
}

/** Those of istiod, and of what runs beside it. */
const PREFIX = /^(PILOT|AMBIENT|CITADEL|ISTIO|ISTIOD|CA)_/;
/** Kubernetes tells each pod of the Services of its namespace: that of Service istiod is `ISTIOD_SERVICE_HOST`. */
const SERVICE_LINK = /_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$/;
/** Of proxies, which tell their node by them. */
const PROXY_METADATA = /^ISTIO_META(JSON)?_/;
const FIXED = new Map(FIXED_VARIABLES.map((variable) => [variable.name, variable]));
const IDLE = new Set(IDLE_VARIABLES.flatMap(({ names }) => names));

/** Every name that has an effect or is known to need none; `docs/environment.md` lists them. */
export const KNOWN_VARIABLES: ReadonlySet<string> = new Set([
  ...CONFIG_VARIABLES.keys(),
  ...FIXED.keys(),
  ...IDLE,
  ...TRACE_VARIABLES,
]);

/** None of istiod's variables is passed over in silence. An empty one counts as unset, as in charts. */
export function environmentNotices(environment: Environment): EnvironmentNotices {
  const given = Object.entries(environment)
    .flatMap(([name, value]) => (value === undefined || value === "" ? [] : [[name, value] as const]))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const names = given.map(([name]) => name);
  const idle = names.filter((name) => IDLE.has(name) || PROXY_METADATA.test(name));
  return {
    refusals: given.flatMap(([name, value]) => refusalOf(name, value) ?? []),
    warnings: names.filter(isUnknown).map(unknownName),
    notes: idle.length === 0 ? [] : [`these variables have no effect on Causeway: ${idle.join(", ")}`],
  };
}

function refusalOf(name: string, value: string): string | undefined {
  const variable = FIXED.get(name);
  if (variable === undefined || (variable.as !== undefined && sameSetting(variable.as, value))) return undefined;
  return `${name} is "${printable(value, 120)}": ${variable.why}`;
}

function isUnknown(name: string): boolean {
  return PREFIX.test(name) && !KNOWN_VARIABLES.has(name) && !PROXY_METADATA.test(name) && !SERVICE_LINK.test(name);
}

function unknownName(name: string): string {
  const nearest = nearestName(name, KNOWN_VARIABLES);
  const hint = nearest === undefined ? "" : `; did you mean ${nearest}?`;
  return `the variable ${printable(name, 100)} is not known, and has no effect${hint}`;
}
