import type { GatewayClass } from "./namespace.ts";

/** Whose proxies we deploy for a Gateway; `remote` stands for a gateway that is elsewhere, and has none. */
export type DeployedKind = "waypoint" | "east-west" | "remote";

export interface KnownClass {
  readonly name: string;
  readonly controllerName: string;
  readonly description: string;
}

export const WAYPOINT_CONTROLLER = "istio.io/mesh-controller";
const EAST_WEST_CONTROLLER = "istio.io/eastwest-controller";
const REMOTE_CONTROLLER = "istio.io/unmanaged-gateway";

/** Those that we make if they are not there. Names of classes and controllers are upstream's, and the product's. */
export const KNOWN_CLASSES: readonly KnownClass[] = [
  {
    name: "istio-waypoint",
    controllerName: WAYPOINT_CONTROLLER,
    description: "Waypoints of Causeway: policies and routes for the services that use them",
  },
  {
    name: "istio-eastwest",
    controllerName: EAST_WEST_CONTROLLER,
    description: "East-west gateways of Causeway: the way into this cluster's network",
  },
  {
    name: "istio-east-west",
    controllerName: EAST_WEST_CONTROLLER,
    description: "East-west gateways of Causeway, by upstream's name",
  },
  {
    name: "istio-remote",
    controllerName: REMOTE_CONTROLLER,
    description: "Gateways that stand for those of other clusters: nothing is deployed for them",
  },
];

const KINDS: Readonly<Record<string, DeployedKind>> = {
  [WAYPOINT_CONTROLLER]: "waypoint",
  [EAST_WEST_CONTROLLER]: "east-west",
  [REMOTE_CONTROLLER]: "remote",
};

/**
 * What Gateways of a class are: as its name says, unless it is another controller's. Of classes that others made those of
 * the waypoints' controller are waypoints, too. Undefined if they are somebody else's.
 */
export function deployedKind(className: string, found: GatewayClass | undefined): DeployedKind | undefined {
  const known = KNOWN_CLASSES.find(({ name }) => name === className);
  if (known === undefined) return found?.controllerName === WAYPOINT_CONTROLLER ? "waypoint" : undefined;
  return found === undefined || found.controllerName === known.controllerName ? KINDS[known.controllerName] : undefined;
}

/** What upstream labels all that it makes for a Gateway with; it tells proxies of gateways from all others. */
export const MANAGED = "gateway.istio.io/managed";
export const MANAGERS: Readonly<Record<Exclude<DeployedKind, "remote">, string>> = {
  waypoint: "istio.io-mesh-controller",
  "east-west": "istio.io-eastwest-controller",
};
