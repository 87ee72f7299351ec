import { type ServiceError, status } from "@grpc/grpc-js";
import { MeshError } from "../errors.ts";
import { failureOf } from "./failure.ts";
import type { Role, ServerMethod } from "./server-method.ts";

/** Whom a call was sent to, and as whom. */
export interface Asked {
  /** As `SPIRE's server at unix:/run/spire/server/api.sock`. */
  readonly server: string;
  /** What the server takes us for; undefined over its socket, where nobody is anybody. */
  readonly spiffeId: string | undefined;
}

/** What a call ended with, and what would mend it. */
export function serverFailure(
  error: ServiceError,
  { name, role }: ServerMethod,
  { server, spiffeId }: Asked,
): MeshError {
  const where = `${server} (${name})`;
  switch (error.code) {
    case status.UNAVAILABLE:
      return failureOf(error, server);
    case status.UNIMPLEMENTED:
      return failureOf(
        error,
        where,
        "it does not know this method: is that the API of SPIRE's server, of 1.5 or later?",
      );
    case status.PERMISSION_DENIED:
    case status.UNAUTHENTICATED:
      return failureOf(error, where, spiffeId === undefined ? SOCKET_REFUSES[role] : whatEntryLacks(role, spiffeId));
    default:
      return failureOf(error, where);
  }
}

/** @param ms for how long nothing came. */
export function noAnswer({ name, signs }: ServerMethod, server: string, ms: number): MeshError {
  const hung = signs
    ? "; if it goes on while it answers other calls, its key manager hangs: restart SPIRE's server"
    : "";
  return new MeshError("timeout", `${server} has not answered ${name} for ${ms / 1000} s${hung}`);
}

/** True if the other end said it, and not our side of the connection. */
export const isAnswer = ({ detail }: MeshError): boolean =>
  typeof detail["status"] === "string" && detail["status"] !== status[status.UNAVAILABLE];

const SOCKET_REFUSES: Readonly<Record<Role, string | undefined>> = {
  downstream: "over its socket it certifies no authorities: name its TCP port in --spire-server",
  admin: "it does not let us over its socket: look at the policy in its auth_opa_policy_engine",
  anybody: undefined,
};

function whatEntryLacks(role: Role, spiffeId: string): string | undefined {
  if (role === "admin") return `our identity ${spiffeId} is no admin at SPIRE's server: give its entry admin: true`;
  if (role === "downstream")
    return `our identity ${spiffeId} is no downstream authority of SPIRE's server: give its entry downstream: true`;
  return undefined;
}
