import { type Flag, listOption, type Options, textOption, UsageError } from "../command.ts";
import type { Exposure } from "../linking/exposure.ts";
import { EAST_WEST } from "../linking/gateways.ts";
import { matching } from "../settings.ts";
import { namespacesOf, serviceTypeOption } from "./link-tools.ts";

export const EXPOSE_FLAGS: readonly Flag[] = [
  { flags: "--cluster <id>", description: "the cluster's ID; by default what its control plane says" },
  { flags: "--network <name>", description: "its network; by default the label of its system namespace" },
  { flags: "--name <name>", description: "what the Gateway is called", default: EAST_WEST },
  {
    flags: "--class <name>",
    description: "its class",
    choices: ["istio-eastwest", "istio-east-west"],
    default: EAST_WEST,
  },
  {
    flags: "--service-type <type>",
    description: "how peers reach it; a load balancer by default",
    choices: ["loadbalancer", "nodeport"],
  },
  { flags: "--hbone-node-port <port>", description: "the node port of 15008, from 30000 to 32767 mostly" },
  { flags: "--xds-node-port <port>", description: "the node port of 15012" },
  { flags: "--replicas <count>", description: "how many proxies, on nodes of their own where there are enough" },
  {
    flags: "--annotation <key=value>",
    description: "for the load balancer of your cloud, put on the Service; may be repeated",
    repeated: true,
  },
];

/** What is to be made; the cluster itself may say who it is. */
export type Asked = Omit<Exposure, "cluster" | "network"> & {
  readonly cluster: string | undefined;
  readonly network: string | undefined;
};

/** @throws UsageError naming the flag, its value and what would be right. */
export function askedFor(options: Options): Asked {
  const type = serviceTypeOption(options);
  const [hboneNodePort, xdsNodePort] = ["hboneNodePort", "xdsNodePort"].map((name) => portOption(options, name));
  if (type !== "nodeport" && (hboneNodePort ?? xdsNodePort) !== undefined)
    throw new UsageError("--hbone-node-port and --xds-node-port are for --service-type nodeport: add it");
  if (hboneNodePort !== undefined && hboneNodePort === xdsNodePort)
    throw new UsageError(`--hbone-node-port and --xds-node-port are both ${xdsNodePort}: give each a port of its own`);
  return {
    cluster: labelOption(options, "cluster"),
    network: labelOption(options, "network"),
    namespace: namespacesOf(options).namespace,
    name: nameOption(options, "name") ?? EAST_WEST,
    className: nameOption(options, "class") ?? EAST_WEST,
    serviceTypes: type === undefined ? [] : [type],
    hboneNodePort,
    xdsNodePort,
    replicas: countOption(options),
    serviceAnnotations: Object.fromEntries(listOption(options, "annotation").map(annotationOf)),
  };
}

const LABEL_VALUE = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const OBJECT_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/** Clusters and networks are named by labels. */
const labelOption = (options: Options, name: string): string | undefined =>
  matchingOption(options, name, LABEL_VALUE, "use letters, digits, '.', '-' and '_', 63 at most");

const nameOption = (options: Options, name: string): string | undefined =>
  matchingOption(options, name, OBJECT_NAME, "a name is lower case letters, digits, '-' and '.'");

function matchingOption(options: Options, name: string, pattern: RegExp, right: string): string | undefined {
  const text = textOption(options, name);
  return text === undefined ? undefined : matching({ text, from: `--${name}` }, pattern, right);
}

function portOption(options: Options, name: string): number | undefined {
  const text = textOption(options, name);
  if (text === undefined) return undefined;
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  if (port > 0 && port <= 65_535) return port;
  const flag = name === "hboneNodePort" ? "--hbone-node-port" : "--xds-node-port";
  throw new UsageError(`${flag} is "${text}": give a port, as 30015`);
}

function countOption(options: Options): number | undefined {
  const text = textOption(options, "replicas");
  if (text === undefined) return undefined;
  if (/^[1-9][0-9]{0,2}$/.test(text)) return Number(text);
  throw new UsageError(`--replicas is "${text}": give a number from 1 to 999`);
}

function annotationOf(text: string): readonly [string, string] {
  const [, key, value] = /^([A-Za-z0-9][A-Za-z0-9._/-]*)=(.*)$/s.exec(text) ?? [];
  if (key !== undefined && value !== undefined) return [key, value];
  throw new UsageError(
    `--annotation is "${text}": give key=value, as service.beta.kubernetes.io/aws-load-balancer-scheme=internal`,
  );
}
