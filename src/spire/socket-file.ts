import { statSync } from "node:fs";

/**
 * Which file a path leads to now: whoever begins to listen anew makes another one, while a connection to the old one may
 * live on and lead nowhere. Undefined if there is none, or it cannot be looked at.
 */
export function socketFile(path: string): string | undefined {
  try {
    const { dev, ino, ctimeNs } = statSync(path, { bigint: true });
    // The number of an inode is given again as soon as its file is gone.
    return `${dev}:${ino}:${ctimeNs}`;
  } catch {
    return undefined;
  }
}
