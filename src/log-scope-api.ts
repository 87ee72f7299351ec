import { MeshError } from "./errors.ts";
import { isLogLevel, LOG_LEVELS } from "./log-levels.ts";
import type { LogScope, LogScopes } from "./log.ts";
import { printable } from "./printable.ts";

/** A scope as ControlZ shows it, so that `istioctl admin log` reads and sets ours. */
export interface ScopeInfo {
  readonly name: string;
  readonly description: string;
  readonly output_level: string;
  /** Errors always carry their stack where they have one. */
  readonly stack_trace_level: "none";
  readonly log_callers: false;
}

export function listScopes(scopes: LogScopes): readonly ScopeInfo[] {
  return scopes.list().map(toInfo);
}

/** @throws MeshError `absent` if there is no such scope. */
export function readScope(scopes: LogScopes, name: string): ScopeInfo {
  const scope = scopes.list().find((candidate) => candidate.name === name);
  if (scope !== undefined) return toInfo(scope);
  throw new MeshError("absent", `there is no log scope ${printable(name, 80)}; /scopej lists them`);
}

/** @throws MeshError `absent` if there is no such scope, `invalid` if the body is no ScopeInfo. */
export function changeScope(scopes: LogScopes, name: string, body: string): LogScope {
  readScope(scopes, name);
  const level = levelIn(body);
  if (!isLogLevel(level))
    throw new MeshError("invalid", `send JSON as {"output_level": "debug"}; levels are ${LOG_LEVELS.join(", ")}`);
  scopes.setLevel(name, level);
  return { name, description: "", level };
}

function levelIn(body: string): unknown {
  try {
    const info: unknown = JSON.parse(body);
    return typeof info === "object" && info !== null && "output_level" in info ? info.output_level : undefined;
  } catch {
    return undefined;
  }
}

const toInfo = ({ name, description, level }: LogScope): ScopeInfo => ({
  name,
  description,
  output_level: level,
  stack_trace_level: "none",
  log_callers: false,
});
