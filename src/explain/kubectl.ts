/** A command for one cluster; contexts are taken to be called as their clusters. */
export const kubectl = (cluster: string, words: string): string => `kubectl --context ${cluster} ${words}`;

export const labelService = (cluster: string, namespace: string, name: string, label: string): string =>
  kubectl(cluster, `-n ${namespace} label service ${name} ${label} --overwrite`);
