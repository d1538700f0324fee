// SPDX-License-Identifier: GPL-2.0
/*
 * protopi_firmware: what the Raspberry Pi's firmware offers and mainline 6.12
 * does not use.
 *
 * Concern: reboot("0 tryboot") makes the next boot a try, reboot("3") boots
 *          from partition 3, and the 1 MHz system timer, which counts from
 *          power-on, can be read by programs.
 * Device:  the system timer's node, which no other driver on arm64 binds. The
 *          firmware's own node belongs to raspberrypi-firmware, whose property
 *          channel is used here through its exported functions.
 * Context: probe and the sysfs read in process context; the reboot notifier in
 *          process context, and may sleep (the property channel waits for an
 *          answer up to a second).
 * Locking: none of its own. The timer is read only. Notifiers of a reboot run
 *          one after the other, in one thread (reboot(2) holds
 *          system_transition_mutex). PM_RSTS has one other writer in the
 *          kernel, bcm2835_wdt's power-off, which comes after all notifiers
 *          and only when the machine does not restart. Lock order towards
 *          others: reboot_notifier_list.rwsem, then transaction_lock of
 *          drivers/firmware/raspberrypi.c.
 */
#include <linux/device.h>
#include <linux/io.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/of.h>
#include <linux/of_address.h>
#include <linux/platform_device.h>
#include <linux/reboot.h>
#include <linux/sysfs.h>
#include <soc/bcm2835/raspberrypi-firmware.h>

#include "reboot_command.h"

#define TIMER_LOW 0x04
#define TIMER_HIGH 0x08
#define PM_RSTS 0x20
/* Not in mainline's list of tags: one u32 of flags, bit 0 is tryboot. */
#define TAG_SET_REBOOT_FLAGS 0x00038064
#define REBOOT_FLAG_TRYBOOT 1

/**
 * struct protopi_firmware - the one instance
 * @dev: the system timer's device
 * @timer: its registers
 * @pm: registers of the power manager, which keep the boot partition over a
 *	reset
 * @firmware: the property channel
 * @notifier: told of every halt, power-off and restart
 */
struct protopi_firmware {
	struct device *dev;
	void __iomem *timer;
	void __iomem *pm;
	struct rpi_firmware *firmware;
	struct notifier_block notifier;
};

static ssize_t system_timer_us_show(struct device *dev, struct device_attribute *attribute,
				    char *text)
{
	struct protopi_firmware *pf = dev_get_drvdata(dev);
	u32 high, low;

	/* Two halves: the upper one moves between the reads once in 71 minutes. */
	do {
		high = readl(pf->timer + TIMER_HIGH);
		low = readl(pf->timer + TIMER_LOW);
	} while (high != readl(pf->timer + TIMER_HIGH));
	return sysfs_emit(text, "%llu\n", (u64)high << 32 | low);
}
static DEVICE_ATTR_RO(system_timer_us);

static struct attribute *protopi_firmware_attrs[] = {
	&dev_attr_system_timer_us.attr,
	NULL,
};
ATTRIBUTE_GROUPS(protopi_firmware);

/*
 * The partition is written at every restart, also as 0: what an earlier boot
 * has left there would else be taken for a wish.
 */
static int protopi_firmware_reboot(struct notifier_block *notifier, unsigned long action,
				   void *text)
{
	struct protopi_firmware *pf = container_of(notifier, struct protopi_firmware, notifier);
	__le32 flags = cpu_to_le32(REBOOT_FLAG_TRYBOOT);
	struct reboot_command command;
	int error;

	if (action != SYS_RESTART)
		return NOTIFY_DONE;
	if (reboot_command_parse(text, &command))
		dev_warn(pf->dev, "restart without its argument, which is not understood: %*pE\n",
			 (int)strnlen(text, 64), (char *)text);
	writel(reboot_command_rsts(readl(pf->pm + PM_RSTS), command.partition), pf->pm + PM_RSTS);
	if (!command.tryboot)
		return NOTIFY_DONE;
	error = rpi_firmware_property(pf->firmware, TAG_SET_REBOOT_FLAGS, &flags, sizeof(flags));
	if (error)
		dev_err(pf->dev, "the firmware takes no tryboot flag: %pe\n", ERR_PTR(error));
	return NOTIFY_DONE;
}

static void protopi_firmware_unmap(void *data)
{
	struct protopi_firmware *pf = data;

	iounmap(pf->pm);
}

/*
 * The power manager's registers belong to bcm2835-pm, which has reserved them;
 * a mapping of one's own is what is left to share them.
 */
static int protopi_firmware_map_pm(struct protopi_firmware *pf)
{
	struct device_node *node = of_find_compatible_node(NULL, NULL, "brcm,bcm2711-pm");

	if (!node)
		return dev_err_probe(pf->dev, -ENODEV, "no power manager in the device tree\n");
	pf->pm = of_iomap(node, 0);
	of_node_put(node);
	if (!pf->pm)
		return -ENOMEM;
	return devm_add_action_or_reset(pf->dev, protopi_firmware_unmap, pf);
}

static int protopi_firmware_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct protopi_firmware *pf;
	struct device_node *node;
	int error;

	pf = devm_kzalloc(dev, sizeof(*pf), GFP_KERNEL);
	if (!pf)
		return -ENOMEM;
	pf->dev = dev;
	pf->timer = devm_platform_ioremap_resource(pdev, 0);
	if (IS_ERR(pf->timer))
		return PTR_ERR(pf->timer);
	node = rpi_firmware_find_node();
	if (!node)
		return dev_err_probe(dev, -ENODEV, "no firmware in the device tree\n");
	pf->firmware = devm_rpi_firmware_get(dev, node);
	of_node_put(node);
	if (!pf->firmware)
		return dev_err_probe(dev, -EPROBE_DEFER, "the firmware is not ready\n");
	error = protopi_firmware_map_pm(pf);
	if (error)
		return error;
	platform_set_drvdata(pdev, pf);
	pf->notifier.notifier_call = protopi_firmware_reboot;
	return devm_register_reboot_notifier(dev, &pf->notifier);
}

static const struct of_device_id protopi_firmware_of_match[] = {
	{ .compatible = "brcm,bcm2835-system-timer" },
	{}
};
MODULE_DEVICE_TABLE(of, protopi_firmware_of_match);

static struct platform_driver protopi_firmware_driver = {
	.probe = protopi_firmware_probe,
	.driver = {
		.name = "protopi-firmware",
		.of_match_table = protopi_firmware_of_match,
		.dev_groups = protopi_firmware_groups,
	},
};
module_platform_driver(protopi_firmware_driver);

MODULE_DESCRIPTION("Raspberry Pi firmware: tryboot, boot partition, system timer");
MODULE_AUTHOR("The Protopi authors");
MODULE_LICENSE("GPL");
