// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Stream-optimized VMDK as in "Virtual Disk Format 5.0" (VMware, 2011): what an ESXi host
// demands of a body that is uploaded over NFC, and the empty disk it serves for a disk that
// was never written.

const (
	sectorSize     = 512
	vmdkMagic      = 0x564d444b // "KDMV" as little-endian bytes
	vmdkGrain      = 128        // sectors
	vmdkEntries    = 512        // grain table entries
	gdAtEnd        = ^uint64(0)
	flagCompressed = 1 << 16
	flagMarkers    = 1 << 17
	markerEnd      = 0
	markerGD       = 2
	markerFooter   = 3
	maxCapacity    = 62 << 40 // largest virtual disk of vSphere, bytes
)

type sparseHeader struct {
	Magic              uint32
	Version            uint32
	Flags              uint32
	Capacity           uint64
	GrainSize          uint64
	DescriptorOffset   uint64
	DescriptorSize     uint64
	NumGTEsPerGT       uint32
	RGDOffset          uint64
	GDOffset           uint64
	OverHead           uint64
	UncleanShutdown    uint8
	SingleEndLineChar  uint8
	NonEndLineChar     uint8
	DoubleEndLineChar1 uint8
	DoubleEndLineChar2 uint8
	CompressAlgorithm  uint16
	Pad                [433]uint8
}

func parseSparseHeader(sector []byte) (*sparseHeader, error) {
	header := new(sparseHeader)
	if _, err := binary.Decode(sector, binary.LittleEndian, header); err != nil {
		return nil, err
	}
	if header.Magic != vmdkMagic {
		return nil, errors.New("invalid sparse VMDK header: the magic number is not KDMV")
	}
	if header.Version < 1 || header.Version > 3 {
		return nil, fmt.Errorf("invalid sparse VMDK header: version %d", header.Version)
	}
	if header.Flags&flagCompressed == 0 || header.Flags&flagMarkers == 0 || header.CompressAlgorithm != 1 {
		return nil, errors.New("invalid sparse VMDK header: the disk is not stream-optimized")
	}
	if header.Capacity == 0 || header.Capacity > maxCapacity/sectorSize {
		return nil, fmt.Errorf("invalid sparse VMDK header: capacity of %d sectors", header.Capacity)
	}
	if header.GrainSize < 8 || header.GrainSize > 2048 || header.GrainSize&(header.GrainSize-1) != 0 {
		return nil, fmt.Errorf("invalid sparse VMDK header: grain size of %d sectors", header.GrainSize)
	}
	if header.NumGTEsPerGT == 0 || header.NumGTEsPerGT > 1<<16 {
		return nil, fmt.Errorf("invalid sparse VMDK header: %d entries in a grain table", header.NumGTEsPerGT)
	}
	return header, nil
}

// streamCheck looks at the first and the last sectors of a body while it passes by.
type streamCheck struct {
	capacity int64 // bytes that the virtual disk has
	head     []byte
	tail     []byte
	size     int64
}

// Write implements io.Writer. It fails as soon as the header shows that the body is not a
// stream-optimized VMDK of the disk's capacity.
func (c *streamCheck) Write(data []byte) (int, error) {
	if missing := sectorSize - len(c.head); missing > 0 {
		c.head = append(c.head, data[:min(missing, len(data))]...)
		if len(c.head) == sectorSize {
			header, err := parseSparseHeader(c.head)
			if err != nil {
				return 0, err
			}
			if got := int64(header.Capacity) * sectorSize; got != c.capacity {
				return 0, fmt.Errorf("the VMDK has a capacity of %d bytes, the virtual disk one of %d", got, c.capacity)
			}
		}
	}
	c.size += int64(len(data))
	c.tail = append(c.tail, data[max(0, len(data)-sectorSize):]...)
	if extra := len(c.tail) - sectorSize; extra > 0 {
		c.tail = append(c.tail[:0], c.tail[extra:]...)
	}
	return len(data), nil
}

// finish reports whether the body ended at the end of a VMDK.
func (c *streamCheck) finish() error {
	if len(c.head) < sectorSize {
		return fmt.Errorf("invalid sparse VMDK header: the body ends after %d bytes", c.size)
	}
	header, err := parseSparseHeader(c.head)
	if err != nil {
		return err
	}
	if header.GDOffset != gdAtEnd {
		return nil // qemu-img writes its grain directory up front and no end-of-stream marker
	}
	if c.size%sectorSize != 0 {
		return fmt.Errorf("the VMDK is truncated: %d bytes are not a whole number of sectors", c.size)
	}
	for _, b := range c.tail {
		if b != 0 {
			return errors.New("the VMDK is truncated: its end-of-stream marker is missing")
		}
	}
	return nil
}

// inspectStream reads the grain tables of a stored VMDK: it returns the virtual capacity and the
// number of bytes that its grains hold, and fails when a grain lies beyond the end of the file.
func inspectStream(path string) (capacity, populated int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, 0, err
	}
	sector := make([]byte, sectorSize)
	if _, err = file.ReadAt(sector, 0); err != nil {
		return 0, 0, fmt.Errorf("invalid sparse VMDK header: %w", err)
	}
	header, err := parseSparseHeader(sector)
	if err != nil {
		return 0, 0, err
	}
	if header.GDOffset == gdAtEnd {
		if _, err = file.ReadAt(sector, info.Size()-2*sectorSize); err != nil {
			return 0, 0, fmt.Errorf("the VMDK has no footer: %w", err)
		}
		capacity := header.Capacity
		if header, err = parseSparseHeader(sector); err != nil {
			return 0, 0, fmt.Errorf("the VMDK has no footer: %w", err)
		}
		if header.Capacity != capacity {
			return 0, 0, errors.New("the VMDK's footer has another capacity than its header")
		}
	}
	grains := (header.Capacity + header.GrainSize - 1) / header.GrainSize
	entries := uint64(header.NumGTEsPerGT)
	directory := make([]uint32, (grains+entries-1)/entries)
	if header.GDOffset >= uint64(info.Size())/sectorSize {
		return 0, 0, errors.New("the VMDK's grain directory lies beyond its end")
	}
	section := io.NewSectionReader(file, int64(header.GDOffset)*sectorSize, info.Size())
	if err = binary.Read(bufio.NewReader(section), binary.LittleEndian, directory); err != nil {
		return 0, 0, fmt.Errorf("the VMDK's grain directory is truncated: %w", err)
	}
	table := make([]uint32, entries)
	var last uint32
	for _, at := range directory {
		if at == 0 {
			continue
		}
		section := io.NewSectionReader(file, int64(at)*sectorSize, int64(entries)*4)
		if err = binary.Read(section, binary.LittleEndian, table); err != nil {
			return 0, 0, fmt.Errorf("a grain table of the VMDK is truncated: %w", err)
		}
		for _, grain := range table {
			if grain > 1 { // 0 and 1 mean: no grain, a grain of zeros
				populated += int64(header.GrainSize) * sectorSize
				last = max(last, grain)
			}
		}
	}
	if last != 0 {
		marker := make([]byte, 12)
		if _, err = file.ReadAt(marker, int64(last)*sectorSize); err != nil {
			return 0, 0, fmt.Errorf("the VMDK is truncated: its last grain is missing: %w", err)
		}
		if end := int64(last)*sectorSize + 12 + int64(binary.LittleEndian.Uint32(marker[8:])); end > info.Size() {
			return 0, 0, errors.New("the VMDK is truncated: it ends inside its last grain")
		}
	}
	return int64(header.Capacity) * sectorSize, min(populated, int64(header.Capacity)*sectorSize), nil
}

// writeEmptyStream writes a stream-optimized VMDK in which every grain is absent.
func writeEmptyStream(out io.Writer, capacity int64) error {
	sectors := uint64(capacity) / sectorSize
	tables := (sectors + vmdkGrain*vmdkEntries - 1) / (vmdkGrain * vmdkEntries)
	directorySectors := (tables*4 + sectorSize - 1) / sectorSize
	descriptor := make([]byte, 20*sectorSize)
	copy(descriptor, fmt.Sprintf("# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"+
		"createType=\"streamOptimized\"\n\n# Extent description\nRDONLY %d SPARSE \"disk.vmdk\"\n\n"+
		"# The Disk Data Base\n#DDB\n\nddb.adapterType = \"lsilogic\"\nddb.geometry.cylinders = \"%d\"\n"+
		"ddb.geometry.heads = \"255\"\nddb.geometry.sectors = \"63\"\nddb.virtualHWVersion = \"19\"\n",
		sectors, sectors/(255*63)))
	header := sparseHeader{
		Magic: vmdkMagic, Version: 3, Flags: 3 | flagCompressed | flagMarkers,
		Capacity: sectors, GrainSize: vmdkGrain, DescriptorOffset: 1, DescriptorSize: 20,
		NumGTEsPerGT: vmdkEntries, GDOffset: gdAtEnd, OverHead: vmdkGrain, CompressAlgorithm: 1,
		SingleEndLineChar: '\n', NonEndLineChar: ' ', DoubleEndLineChar1: '\r', DoubleEndLineChar2: '\n',
	}
	footer := header
	footer.GDOffset = vmdkGrain + 1
	marker := func(sectors uint64, kind uint32) []byte {
		sector := make([]byte, sectorSize)
		binary.LittleEndian.PutUint64(sector, sectors)
		binary.LittleEndian.PutUint32(sector[12:], kind)
		return sector
	}
	parts := []any{
		header, descriptor, make([]byte, (vmdkGrain-21)*sectorSize),
		marker(directorySectors, markerGD), make([]byte, directorySectors*sectorSize),
		marker(1, markerFooter), footer, marker(0, markerEnd),
	}
	for _, part := range parts {
		if err := binary.Write(out, binary.LittleEndian, part); err != nil {
			return err
		}
	}
	return nil
}
