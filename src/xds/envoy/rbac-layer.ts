import type { RequestPolicy } from "../../registry/model/proxy-policies.ts";
import type { Clause } from "./rbac-clauses.ts";

/** What is seen of traffic: requests, or connections whose bytes mean nothing to us. */
export type Layer = "http" | "tcp";

/** What a clause comes to that needs HTTP, if it is `asked` for; it holds if not. */
export type HttpOnly = <M>(asked: boolean, clause: () => Clause<M>) => Clause<M>;

/** Where there is no HTTP, what allows by it allows nothing, and what denies by it denies without looking at it. */
export function httpOnlyAt(layer: Layer, action: RequestPolicy["action"]): HttpOnly {
  return (asked, clause) => !asked || (layer === "http" ? clause() : action === "deny");
}
