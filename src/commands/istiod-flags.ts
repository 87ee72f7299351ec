import { type Flag, type Options, textOption } from "../command.ts";

/** What istiod's charts and operators call what is ours by another name: of each, the option that it is here. */
const RENAMED = {
  domain: ["clusterDomain", "text"],
  monitoringAddr: ["adminPort", "port"],
  httpAddr: ["healthPort", "port"],
  secureGRPCAddr: ["xdsPort", "port"],
} as const satisfies Readonly<Record<string, readonly [ours: string, as: "text" | "port"]>>;

/** Taken, and without effect: what each is for is not done here, or not by a flag. */
const IDLE = ["httpsAddr", "keepaliveInterval", "keepaliveTimeout", "keepaliveMaxServerConnectionAge", "cniNamespace"];

/** Flags of `pilot-discovery discovery`, so that what starts istiod starts Causeway. Ours win over them. */
export const ISTIOD_FLAGS: readonly Flag[] = [
  { flags: "--domain <domain>", description: "istiod's name of --cluster-domain" },
  { flags: "--monitoringAddr <address>", description: "istiod's name of --admin-port, as :15014" },
  { flags: "--httpAddr <address>", description: "istiod's name of --health-port, as :8080" },
  { flags: "--secureGRPCAddr <address>", description: "istiod's name of --xds-port, as :15012" },
  ...IDLE.map((name) => ({ flags: `--${name} <value>`, description: "istiod's; without effect" })),
];

/** The same options under our names. What cannot be one of ours stays as it was written, and is refused by what reads it. */
export function renamedOptions(options: Options): Options {
  const renamed = Object.entries(RENAMED).flatMap(([theirs, [ours, as]]) => {
    const text = textOption(options, theirs);
    // An address may name an interface, which --listen does for all ports; only its port counts.
    return text === undefined ? [] : [[ours, as === "port" ? text.replace(/^.*:/, "") : text] as const];
  });
  return { ...Object.fromEntries(renamed), ...options };
}
