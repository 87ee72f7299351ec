import { join } from "node:path";
import { TokenIssuer, type TokenSubject } from "../ca/token-issuer.ts";
import { type Command, type CommandCall, textOption, UsageError } from "../command.ts";
import { type Config, CONFIG_FLAGS, loadConfig, type ManifestCluster } from "../config.ts";
import { tokenKeyFile } from "../plane/embedded-clusters.ts";
import { parseDurationMs } from "../duration.ts";
import type { Host } from "../host.ts";
import { parseLogLevels } from "../log-levels.ts";
import { systemHost } from "../system-host.ts";
import { boundTo, livePodsOf, podNamed, readMesh, requireAccount } from "./tokens.ts";

/** `causeway token`: what an API server would project into a pod, or give for a service account. */
export const tokenCommand: Command = {
  name: "token",
  summary: "Make a service account token of an embedded cluster",
  flags: [
    { flags: "-n, --namespace <name>", description: "of the pod or the account", default: "default" },
    {
      flags: "--pod <name>",
      description: "bind the token to this pod; only such a token may ask for others' identities",
    },
    { flags: "--service-account <name>", description: "a token of this account, bound to no pod" },
    { flags: "--duration <duration>", description: "how long it is good, a day at most; 12h by default" },
    ...CONFIG_FLAGS,
  ],
  async run(call) {
    const { options, printer } = call;
    const config = loadConfig(options, call.environment, {
      listenAddress: "127.0.0.1",
      stateDir: ".causeway",
      manifests: EXAMPLES,
    });
    const host = systemHost({ logLevels: parseLogLevels("token", "none"), logAsJson: false });
    const [local] = config.manifests;
    if (local === undefined) throw new UsageError("name the cluster's folder with --manifests <dir>");
    const ttlSeconds = ttlSecondsOf(options["duration"]);
    const subject = await subjectOf(host, call, config, local);
    const issuer = await TokenIssuer.open(host, local.cluster, tokenKeyFile(config.stateDir, local.cluster));
    // No line end: ztunnel sends a token file as it is, and fails on one (contract ztunnel.md 7, pitfall 35).
    printer.out(await issuer.issue(subject, ttlSeconds));
    return 0;
  },
};

/** The mesh that comes with us. */
export const EXAMPLES = join(import.meta.dirname, "..", "..", "..", "examples", "shop");

async function subjectOf(
  host: Host,
  { options }: CommandCall,
  config: Config,
  local: ManifestCluster,
): Promise<TokenSubject> {
  const namespace = textOption(options, "namespace") ?? "default";
  const [pod, account] = [textOption(options, "pod"), textOption(options, "serviceAccount")];
  if ((pod === undefined) === (account === undefined))
    throw new UsageError("say whose token it is: either --pod <name> or --service-account <name>");
  const registry = await readMesh(host, config, local);
  if (pod !== undefined) return boundTo(podNamed(livePodsOf(registry, local.cluster), local.folder, namespace, pod));
  requireAccount(registry, local, namespace, account!);
  return { namespace, serviceAccount: account!, pod: undefined };
}

function ttlSecondsOf(duration: unknown): number | undefined {
  if (typeof duration !== "string") return undefined;
  const ms = parseDurationMs(duration);
  if (ms === undefined || ms < 1000) throw new UsageError(`--duration is "${duration}": give 1s to 24h, as 90m or 12h`);
  if (ms > 86_400_000) throw new UsageError(`--duration is ${duration}; a token is good for 24h at most`);
  return Math.floor(ms / 1000);
}
