import type { Hostname, ObjectKey, ServiceName } from "../../names.ts";
import type { HttpRule } from "./http-rule.ts";
import type { BackendName } from "./proxy-backend.ts";

/** A service as one gateway of ours serves it. Its key is `proxyKey(gateway, service)`. */
export interface ProxyService {
  readonly gateway: ObjectKey;
  readonly service: ServiceName;
  readonly hostname: Hostname;
  /** What a CONNECT may name before the port: addresses on the gateway's network (canonical text), and host names. */
  readonly authorities: readonly string[];
  readonly ports: readonly ProxyPort[];
}

/** One port of a service at a waypoint. */
export interface ProxyPort {
  readonly number: number;
  /** `detected`: nothing says, so the first bytes do; what is no HTTP is passed on. */
  readonly protocol: "http" | "tcp" | "detected";
  /** In order, most specific first; of HTTP only. A request that none matches is answered with 404. */
  readonly rules: readonly HttpRule[];
  /** Where connections go that are no HTTP. */
  readonly backend: BackendName;
}

/** As `east/shop/waypoint shop/cart.shop.svc.cluster.local`. */
export const proxyKey = (gateway: ObjectKey, name: string): string => `${gateway} ${name}`;

/** The gateway of a `proxyKey`. */
export const gatewayOf = (key: string): ObjectKey => key.slice(0, key.indexOf(" ")) as ObjectKey;
