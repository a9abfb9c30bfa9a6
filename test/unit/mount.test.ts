/** What /proc/self/mountinfo says of a path, and what is made of it. The lines are of real machines. */

import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findMount, judgeMount, type Mount, mountOf, parseMounts } from '../../src/store/volume/mount.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const lines = {
  root: '27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard',
  container:
    '612 421 0:67 / / rw,relatime master:230 - overlay overlay rw,lowerdir=/var/lib/docker/l/A:/var/lib/docker/l/B,upperdir=/var/lib/docker/x/diff,workdir=/var/lib/docker/x/work',
  bind: '702 612 259:1 /var/lib/docker/volumes/data/_data /data rw,relatime master:1 - ext4 /dev/nvme0n1p1 rw',
  tmpfs: '24 27 0:22 / /run/user/1000 rw,nosuid,nodev - tmpfs tmpfs rw,size=4k,mode=755',
  efs: '98 27 0:44 / /data/store rw,relatime shared:52 - nfs4 127.0.0.1:/ rw,vers=4.1,rsize=1048576,wsize=1048576,namlen=255,hard,noresvport,proto=tcp,port=20049,timeo=600,retrans=2,sec=sys,clientaddr=127.0.0.1,local_lock=none,addr=127.0.0.1',
  nocto:
    '99 27 0:45 / /data/store rw,relatime shared:53 - nfs nas.local:/export rw,vers=3,rsize=1048576,wsize=1048576,namlen=255,hard,nocto,nolock,proto=tcp,timeo=600,retrans=2,sec=sys,local_lock=all,addr=10.0.0.9',
  spaces: '101 27 8:17 / /mnt/my\\040volume\\134one rw,relatime shared:60 - xfs /dev/sdb1 rw,attr2,inode64',
  optional: '102 27 8:18 / /mnt/two rw,noatime shared:61 master:3 propagate_from:2 - btrfs /dev/sdc rw,space_cache=v2',
  noOptions: '103 27 0:50 / /mnt/three rw - ext4 /dev/sdd',
};

describe('mountinfo', () => {
  it('names the mount point, the type, the source and all options of each line', () => {
    expect(parseMounts(`${lines.root}\n${lines.optional}\n${lines.noOptions}\n`)).toEqual([
      { mountPoint: '/', type: 'ext4', source: '/dev/vda', options: ['rw', 'relatime', 'discard'] },
      { mountPoint: '/mnt/two', type: 'btrfs', source: '/dev/sdc', options: ['rw', 'noatime', 'space_cache=v2'] },
      { mountPoint: '/mnt/three', type: 'ext4', source: '/dev/sdd', options: ['rw'] },
    ]);
  });

  it('has white space and backslashes as octal escapes', () => {
    expect(parseMounts(lines.spaces)[0]?.mountPoint).toBe('/mnt/my volume\\one');
  });

  it.each(['', 'no mountinfo at all', '1 2 3 - 4'])('(%j) of another form is left out', (text) => {
    expect(parseMounts(text)).toEqual([]);
  });
});

describe('the mount of a path', () => {
  const mounts = parseMounts(Object.values(lines).join('\n'));

  it.each([
    ['/', 'overlay'],
    ['/database', 'overlay'],
    ['/data', 'ext4'],
    ['/data/storehouse', 'ext4'],
    ['/data/store', 'nfs'],
    ['/data/store/1-a', 'nfs'],
    ['/mnt/my volume\\one/x', 'xfs'],
    ['/mnt/my', 'overlay'],
  ])('%s is the longest mount point above it, the later of two on the same one: %s', (path, type) => {
    expect(mountOf(mounts, path)?.type).toBe(type);
  });

  it('is not known where nothing is mounted', () => {
    expect(mountOf([], '/data')).toBeNull();
  });
});

const mount = (line: string): Mount => {
  const [parsed] = parseMounts(line);
  if (parsed === undefined) throw new Error(`no mount: ${line}`);
  return parsed;
};
const fuse = (type: string, source: string) =>
  mount(`120 27 0:70 / /data/store rw,nosuid,nodev,relatime shared:70 - ${type} ${source} rw,user_id=0,group_id=0`);

describe('a volume', () => {
  it.each([
    ['of a local disk', mount(lines.root)],
    ['of the host of a container', mount(lines.bind)],
    ['of EFS', mount(lines.efs)],
    ['of JuiceFS', fuse('fuse.juicefs', 'JuiceFS:data')],
    ['of another machine over SSH', fuse('fuse.sshfs', 'host:/s3fs')],
    ['whose device happens to be called so', mount(lines.root.replace('/dev/vda', '/dev/s3fs'))],
  ])('%s is fit', (_, found) => {
    expect(judgeMount(found)).toEqual({ kind: 'fit' });
  });

  it('of NFS without close-to-open consistency is refused', () => {
    expect(judgeMount(mount(lines.nocto))).toMatchObject({ kind: 'refused', reason: expect.stringContaining('nocto') });
  });

  it.each([
    ['fuse.s3fs', 's3fs', 's3fs'],
    ['fuse.gcsfuse', 'my-bucket', 'gcsfuse'],
    ['gcsfuse', 'my-bucket', 'gcsfuse'],
    ['fuse.geesefs', 'bucket', 'geesefs'],
    ['fuse.goofys', 'bucket', 'goofys'],
    ['fuse.mount-s3', 'mountpoint-s3', 'mount-s3'],
    ['fuse', 'mountpoint-s3', 'mountpoint-s3'],
    ['fuse', '/usr/bin/s3fs', 's3fs'],
    ['fuse.ossfs', 'ossfs', 'ossfs'],
    ['fuse.blobfuse2', 'blobfuse2', 'blobfuse2'],
    ['fuse.rclone', 'remote:bucket', 'rclone'],
  ])('(%s, %s) of an object store is unsafe', (type, source, program) => {
    expect(judgeMount(fuse(type, source))).toMatchObject({ kind: 'unsafe', reason: expect.stringContaining(program) });
  });

  it.each([
    ['memory', lines.tmpfs, 'machine'],
    ['the layers of a container', lines.container, 'container'],
  ])('in %s is gone with it', (_, line, what) => {
    expect(judgeMount(mount(line))).toMatchObject({ kind: 'ephemeral', reason: expect.stringContaining(what) });
  });
});

describe('this machine', () => {
  it('tells the mount of a folder, under another name and before it is made, too', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'real'));
    symlinkSync('/proc', join(folder, 'link'));
    const here = await findMount(join(folder, 'real'));
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).toContain(` - ${here?.type} `);
    expect(await findMount(join(folder, 'real/not/yet'))).toEqual(here);
    expect(await findMount(join(folder, 'link/self/fd'))).toMatchObject({ mountPoint: '/proc', type: 'proc' });
    expect(await findMount(join(folder, 'link/no-such-file'))).toMatchObject({ mountPoint: '/proc', type: 'proc' });
  });
});
