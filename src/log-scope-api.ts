import { MeshError } from "./errors.ts";
import type { Logger } from "./host.ts";
import { type EndpointAnswer, type EndpointRequest, jsonAnswer, textAnswer } from "./http-endpoint.ts";
import { jsonSlices } from "./json-slices.ts";
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

/**
 * @param body as ControlZ takes it; a field that is left out stays as it is.
 * @throws MeshError `absent` if there is no such scope, `invalid` if the body is no ScopeInfo.
 */
export function changeScope(scopes: LogScopes, name: string, body: string): LogScope {
  const { output_level: before } = readScope(scopes, name);
  const said = fieldsIn(body);
  const stack = said["stack_trace_level"] ?? "none";
  if (stack !== "none")
    throw new MeshError("invalid", "stack_trace_level can only be none: errors have their stack at any level");
  const level = said["output_level"] ?? ("stack_trace_level" in said ? before : undefined);
  if (!isLogLevel(level))
    throw new MeshError("invalid", `send JSON as {"output_level": "debug"}; levels are ${LOG_LEVELS.join(", ")}`);
  scopes.setLevel(name, level);
  return { name, description: "", level };
}

/** None if it is no object. */
function fieldsIn(body: string): Readonly<Record<string, unknown>> {
  try {
    const info: unknown = JSON.parse(body);
    return typeof info === "object" && info !== null ? (info as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}

/** What a GET or a PUT of `/scopej/<name>` answers, and of `/scopej` for an empty name; the caller was let in. */
export async function answerScopes(
  scopes: LogScopes,
  log: Logger,
  { method, body }: Pick<EndpointRequest, "method" | "body">,
  name: string,
): Promise<EndpointAnswer> {
  if (method === "PUT" && name !== "") {
    const { level } = changeScope(scopes, name, await body());
    log.info("log level changed", { changed: name, level });
    return textAnswer(202, `${name} now logs ${level}`);
  }
  if (method !== "GET") throw new MeshError("unsupported", "GET reads levels, PUT /scopej/<scope> sets one");
  return jsonAnswer(200, jsonSlices(name === "" ? listScopes(scopes) : readScope(scopes, name)));
}

const toInfo = ({ name, description, level }: LogScope): ScopeInfo => ({
  name,
  description,
  output_level: level,
  stack_trace_level: "none",
  log_callers: false,
});
