import { join } from "node:path";
import type { Config } from "../config.ts";

type Paths = Pick<Config, "cacertsDir" | "stateDir" | "relay">;

/** Where the authority lies; undefined for one of our own in the state folder. A trust manager's has a folder that it may write. */
export const cacertsFolder = ({ cacertsDir, stateDir, relay }: Paths): string | undefined =>
  cacertsDir ?? (relay.manager === undefined ? undefined : join(stateDir, "cacerts"));

/** For who we are to the trust manager. */
export const relayFolder = ({ stateDir }: Pick<Config, "stateDir">): string => join(stateDir, "relay");

/** Manifests that bound what is shared, as the trust manager says. */
export const grantsFolder = (config: Pick<Config, "stateDir">): string => join(relayFolder(config), "grants");
