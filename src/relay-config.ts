import { type Environment, type Options, UsageError } from "./command.ts";
import { given, hostAndPortOf, matching, type Setting, setting } from "./settings.ts";

/** Where a control plane has its authority from, if that is a trust manager. */
export interface RelayConfig {
  /** `host:port`, with an IPv6 address in brackets; undefined: nobody's orders count here. */
  readonly manager: string | undefined;
  /** A file with a bootstrap token; undefined for the Secret of the system namespace, where there are any. */
  readonly tokenFile: string | undefined;
}

export const RELAY_SETTINGS = {
  manager: setting(
    "--trust-manager <address>",
    "host:port of the trust manager that our authority is from; none by default",
    "TRUST_MANAGER_ADDRESS",
  ),
  token: setting("--trust-token <file>", "a bootstrap token, until it is used once", "TRUST_TOKEN_FILE"),
} as const satisfies Readonly<Record<string, Setting>>;

/** @throws UsageError naming the flag or variable, its value and what would be right. */
export function loadRelayConfig(options: Options, environment: Environment): RelayConfig {
  const [manager, token] = [RELAY_SETTINGS.manager, RELAY_SETTINGS.token].map((one) =>
    given(one, options, environment),
  );
  if (token !== undefined && manager === undefined)
    throw new UsageError(`${token.from} is for a trust manager: name it with --trust-manager (TRUST_MANAGER_ADDRESS)`);
  return {
    manager: manager && hostAndPortOf(manager, "trust-manager.gloo-mesh:9900"),
    tokenFile: token && matching(token, /^[^\0]+$/, "give a file"),
  };
}
