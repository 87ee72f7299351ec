import type { RequestPolicy } from "../../registry/model/proxy-policies.ts";
import type { Clause } from "./rbac-clauses.ts";

/** What is known of traffic when policies are asked. What is `absent` never will be; what is `unseen` may come. */
export interface Sight {
  readonly http: "seen" | "absent" | "unseen";
  readonly serverName: "seen" | "unseen";
}

/** A request. */
export const REQUEST: Sight = { http: "seen", serverName: "seen" };
/** A connection whose bytes mean nothing to us. */
export const CONNECTION: Sight = { http: "absent", serverName: "seen" };
/** A tunnel to a port of this protocol, before any byte is in it. */
export const tunnelSight = (protocol: "tcp" | "detected"): Sight => ({
  http: protocol === "tcp" ? "absent" : "unseen",
  serverName: "unseen",
});

/** What a clause comes to that needs something, if it is `asked` for; it holds if not. */
export type Needs = <M>(what: keyof Sight, asked: boolean, clause: () => Clause<M>) => Clause<M>;

/**
 * Where there is no HTTP, what allows by it allows nothing, and what denies by it denies without looking at it. What is
 * not seen yet is for whoever sees it: until then nothing is denied by it, nor for want of it.
 */
export function needsOf(sight: Sight, action: RequestPolicy["action"]): Needs {
  return (what, asked, clause) => {
    if (!asked) return true;
    if (sight[what] === "seen") return clause();
    return sight[what] === "absent" ? action === "deny" : action === "allow";
  };
}
