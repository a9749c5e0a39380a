import DroverCore
import Testing

@testable import LibvirtBackend

/// A domain as libvirt 9 describes it, with what bears upon a move, and words that only look like that.
let describedDomain = """
  <domain type='kvm' id='3'>
    <name>g</name>
    <uuid>00000000-0000-4000-8000-000000000001</uuid>
    <description>Several lines
  &lt;hostdev mode='subsystem' type='pci'&gt;
  of it</description>
    <metadata>
      <app:hostdev xmlns:app="http://app.example/" type="pci">
        <disk type='file' device='disk'>
          <source file='/not/this'/>
        </disk>
      </app:hostdev>
    </metadata>
    <memory unit='KiB'>65536</memory>
    <currentMemory unit='KiB'>65536</currentMemory>
    <vcpu placement='static'>1</vcpu>
    <os>
      <type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type>
      <boot dev='hd'/>
    </os>
    <cpu mode='custom' match='exact' check='full'>
      <model fallback='forbid'>qemu64</model>
      <feature policy='require' name='x2apic'/>
    </cpu>
    <devices>
      <emulator>/usr/bin/qemu-system-x86_64</emulator>
      <disk type='file' device='disk'>
        <driver name='qemu' type='raw' cache='none'/>
        <source file='/images/a &amp; b.disk' index='2'/>
        <backingStore type='file'>
          <source file='/images/base'/>
        </backingStore>
        <target dev='vda' bus='virtio'/>
        <address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/>
      </disk>
      <disk type='file' device='cdrom'>
        <source file='/iso/x.iso'/>
        <target dev='hda' bus='ide'/>
        <readonly/>
      </disk>
      <disk type='file' device='cdrom'>
        <target dev='hdb' bus='ide'/>
        <readonly/>
      </disk>
      <disk type='network' device='disk'>
        <source protocol='rbd' name='pool/image'>
          <host name='mon'/>
        </source>
        <target dev='vdb' bus='virtio'/>
      </disk>
      <filesystem type='mount' accessmode='passthrough'>
        <source dir='/export'/>
        <target dir='tag'/>
      </filesystem>
      <interface type='network'>
        <source network='lan' portid='x' bridge='virbr0'/>
        <model type='virtio'/>
      </interface>
      <interface type='hostdev' managed='yes'>
        <source>
          <address type='pci' domain='0x0000' bus='0x07' slot='0x10' function='0x0'/>
        </source>
      </interface>
      <hostdev mode='subsystem' type='pci' managed='yes'>
        <driver name='vfio'/>
        <source>
          <address domain='0x0000' bus='0x06' slot='0x02' function='0x0'/>
        </source>
        <address type='pci' domain='0x0000' bus='0x00' slot='0x05' function='0x0'/>
      </hostdev>
      <hostdev mode='subsystem' type='usb'/>
      <hostdev mode='subsystem' type='mdev' model='vfio-pci'>
        <source>
          <address uuid='4b20d080-1b54-4048-85b3-a6a62d165c01'/>
        </source>
      </hostdev>
    </devices>
    <launchSecurity type='sev'>
      <cbitpos>47</cbitpos>
    </launchSecurity>
  </domain>
  """

@Suite struct DomainXMLTests {
  @Test("what bears upon a move is read, and nothing that is noted elsewhere")
  func all() {
    let xml = DomainXML(describedDomain)
    #expect(xml.type == "kvm" && xml.architecture == "x86_64" && xml.machine == "pc-i440fx-7.2")
    #expect(xml.emulator == "/usr/bin/qemu-system-x86_64")
    #expect(xml.memory == .mebibytes(64))
    #expect(xml.cpuMode == "custom")
    #expect(
      xml.cpu == """
        <cpu mode='custom' match='exact' check='full'>
        <model fallback='forbid'>qemu64</model>
        <feature policy='require' name='x2apic'/>
        </cpu>
        """)
    #expect(xml.disks.map(\.target) == ["vda", "hda", "hdb", "vdb"])
    #expect(xml.disks.map(\.source) == ["/images/a & b.disk", "/iso/x.iso", "", "pool/image"])
    #expect(xml.disks.map(\.isReadOnly) == [false, true, true, false])
    #expect(xml.disks.map(\.device) == ["disk", "cdrom", "cdrom", "disk"])
    #expect(xml.disks.map(\.type) == ["file", "file", "file", "network"])
    #expect(xml.networks == ["lan"])
    #expect(xml.directories == ["/export"])
    #expect(xml.devices.map(\.type) == ["pci", "pci", "usb", "mdev"])
    #expect(xml.devices[1].name == "domain 0x0000 bus 0x06 slot 0x02 function 0x0")
    #expect(xml.devices[3].name == "uuid 4b20d080-1b54-4048-85b3-a6a62d165c01")
    #expect(xml.devices.map(\.isLeftBehind) == [false, false, true, false])
    #expect(xml.encryption == "sev")
  }

  @Test(
    "a CPU is custom where it is spelt out, and none where nothing is said",
    arguments: [
      ("<cpu mode='host-passthrough' check='none' migratable='on'/>", "host-passthrough"),
      ("<cpu>\n    <topology sockets='1' cores='1' threads='1'/>\n  </cpu>", "custom"),
      ("<features>\n    <acpi/>\n  </features>", ""),
    ])
  func cpu(element: String, mode: String) {
    let xml = DomainXML("<domain type='qemu'>\n  \(element)\n</domain>")
    #expect(xml.cpuMode == mode)
    #expect(xml.cpu.isEmpty == mode.isEmpty)
  }

  @Test(
    "what is no description says nothing, and ends",
    arguments: [
      "", "<", "</", "<a", "</a>", "<a b", "<a b=", "<a b='", "<a b='c", "<a b='c'", "<!-- a", "<?xml?>", "a",
      ">",
    ])
  func garbage(text: String) {
    #expect(DomainXML(text) == DomainXML(""))
    #expect(DomainXML("<domain>\n\(text)\n</domain>").disks.isEmpty)
  }

  @Test("the host's UUID is the first of its capabilities")
  func hostUUID() {
    let text = "<capabilities>\n\n  <host>\n    <uuid>ab-cd</uuid>\n    <cpu>\n  <uuid>no</uuid>"
    #expect(DomainXML.text(of: "uuid", in: text) == "ab-cd")
    #expect(DomainXML.text(of: "uuid", in: "<capabilities>\n</capabilities>") == nil)
  }

  @Test("storage is shared by the kind of its file system")
  func storage() {
    #expect(
      [0x6969, 0x0116_1970, 0x7461_636F, 0xFF53_4D42, 0x00C3_6400].allSatisfy {
        isSharedFileSystem($0) == true
      })
    // ext4, XFS, Btrfs, tmpfs, overlay
    #expect(
      [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630].allSatisfy {
        isSharedFileSystem($0) == false
      })
    #expect(isSharedFileSystem(0x6573_5546) == nil)
    #expect(isOnSharedStorage("/proc/self/status", root: "/") == false)
    #expect(isOnSharedStorage("/self/status", root: "/proc/") == false)
    #expect(isOnSharedStorage("/not/there", root: "/") == nil && isOnSharedStorage("name", root: "/") == nil)
  }

  @Test("what is asked for is live and led by the source; a persistent domain stays one, at the target only")
  func request() {
    var request = MigrationRequest(
      domain: "g", isPersistent: false, peer: LibvirtPeer(uri: "qemu+tls://host-b/system"))
    // LIVE 1, PEER2PEER 2, PERSIST_DEST 8, UNDEFINE_SOURCE 16
    #expect(request.flags == 3)
    #expect(request.words == "virsh migrate --live --p2p g qemu+tls://host-b/system")
    request.isPersistent = true
    request.peer.migrateURI = "tcp://b-mig"
    #expect(request.flags == 27)
    #expect(
      request.words
        == "virsh migrate --live --p2p --persistent --undefinesource g qemu+tls://host-b/system tcp://b-mig")
  }
}
