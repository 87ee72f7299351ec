import { type ServiceError, status } from "@grpc/grpc-js";
import { type ErrorCode, MeshError } from "../errors.ts";
import { printable } from "../printable.ts";

const WORDS_MAX = 512;

const CODES: ReadonlyMap<status, ErrorCode> = new Map<status, ErrorCode>([
  [status.INVALID_ARGUMENT, "invalid"],
  [status.UNAUTHENTICATED, "denied"],
  [status.PERMISSION_DENIED, "denied"],
  [status.DEADLINE_EXCEEDED, "timeout"],
  [status.RESOURCE_EXHAUSTED, "exhausted"],
]);

/** What grpc-js and the kernel say when nobody was reached, and what to look at; the first that fits counts. */
const UNREACHED: readonly (readonly [RegExp, string])[] = [
  [/ENOENT/, "there is no socket: is it running on this node, and is the folder of its socket mounted here?"],
  [/EACCES|EPERM/, "we may not open its socket: run with the user or group that the socket and its folder belong to"],
  [/ECONNREFUSED/, "nothing listens there: is it running?"],
  [
    /^(Failed to connect|Protocol error)$/,
    "whatever listens there ends the connection at once: is SPIRE behind it, and up?",
  ],
  [/ENOTFOUND|EAI_AGAIN|name resolution failed/i, "its name does not resolve"],
  [/ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|timed out/i, "nothing answers there: look at the address, and at firewalls"],
  [
    /unable to (get|verify)|self[- ]signed certificate|certificate has expired|certificate is not yet valid/i,
    "its certificate is not under the bundle that SPIRE's agent gave us: does the address lead to SPIRE's server, and does that agent reach it?",
  ],
  [
    /alert (unknown ca|bad certificate|certificate (expired|unknown|revoked))|alert number 4[2-8]/i,
    "it does not believe our SVID: is our agent of its trust domain, and has it the server's bundle?",
  ],
];

/**
 * What a call ended with. All but a few statuses are `unavailable`: a server in trouble says INTERNAL or UNKNOWN, and may
 * be asked again.
 * @param where as `SPIRE's server at unix:/run/spire/server/api.sock`.
 * @param fix what to say instead of the other end's words, which follow in brackets.
 */
export function failureOf(
  { code, details }: Pick<ServiceError, "code" | "details">,
  where: string,
  fix?: string,
): MeshError {
  const said = printable(reasonIn(details), WORDS_MAX);
  const why = fix ?? (code === status.UNAVAILABLE ? UNREACHED.find(([pattern]) => pattern.test(said))?.[1] : undefined);
  const words = why === undefined ? `${said} (${status[code]})` : `${why} (${status[code]}: ${said})`;
  return new MeshError(CODES.get(code) ?? "unavailable", `${where}: ${words}`, { status: status[code] });
}

/**
 * grpc-js wraps why it could not connect in words about its resolver, and says when, which would make each attempt a new
 * problem, and a line in each log of what is new.
 */
function reasonIn(details: string): string {
  const [, cause] =
    /^No connection established\. Last error: (?:Error: )?(.*?)\.? Resolution note:/s.exec(details) ?? [];
  return (cause ?? details).replace(/ \(\d{4}-\d\d-\d\dT[\d:.]+Z\)/g, "");
}
