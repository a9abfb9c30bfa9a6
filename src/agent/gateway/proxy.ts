/**
 * Which proxy leads to an address, by the environment variables that everybody reads in a slightly different way. Pure.
 *
 * Lower-case names win; ALL_PROXY stands in for the one of the protocol; a proxy without a scheme is an http one (curl).
 * NO_PROXY covers subdomains, with a dot before the domain or without, and IP ranges (Go). A loopback address is never
 * reached by a proxy. Node's own reading of NO_PROXY knows neither subdomains without a dot nor CIDR.
 */

import { BlockList, isIP } from 'node:net';

export type Proxy =
  | { kind: 'direct' }
  | { kind: 'proxy'; url: string }
  /** A proxy is set that is not an http(s) one. */
  | { kind: 'unusable'; variable: string };

export function decideProxy(target: URL, env: Record<string, string | undefined>): Proxy {
  const protocol = target.protocol === 'https:' ? 'https_proxy' : 'http_proxy';
  const variable = [protocol, 'all_proxy'].flatMap((name) => [name, name.toUpperCase()]).find((name) => env[name]);
  const value = (variable === undefined ? undefined : env[variable]) ?? '';
  if (variable === undefined || isExempt(target, env.no_proxy || env.NO_PROXY || '')) return { kind: 'direct' };
  // Node knows a scheme in lower case only.
  const url = value.includes('://') ? value.replace(/^[^:]+/, (scheme) => scheme.toLowerCase()) : `http://${value}`;
  return /^https?:\/\//.test(url) && URL.canParse(url) ? { kind: 'proxy', url } : { kind: 'unusable', variable };
}

const loopback = ['localhost', '127.0.0.0/8', '::1/128'];

function isExempt(target: URL, noProxy: string): boolean {
  const { hostname } = target;
  // An IPv6 address has brackets in a URL; in an entry it has them or not, and with a port it must.
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const port = target.port || (target.protocol === 'https:' ? '443' : '80');
  const names = [host, hostname, `${hostname}:${port}`];
  return [...loopback, ...noProxy.split(',')]
    .map((entry) => entry.trim().toLowerCase())
    .some((entry) => entry !== '' && (entry === '*' || names.some((name) => isCovered(name, entry))));
}

function isCovered(host: string, entry: string): boolean {
  const domain = entry.replace(/^\*?\./, '');
  return host === domain || host.endsWith(`.${domain}`) || isInRange(host, entry);
}

function isInRange(host: string, entry: string): boolean {
  const [network = '', bits = ''] = entry.split('/');
  const family = isIP(network);
  const prefix = Number(bits);
  if (family === 0 || isIP(host) !== family || !/^\d+$/.test(bits) || prefix > (family === 4 ? 32 : 128)) return false;
  const range = new BlockList();
  const kind = family === 4 ? 'ipv4' : 'ipv6';
  range.addSubnet(network, prefix, kind);
  return range.check(host, kind);
}
